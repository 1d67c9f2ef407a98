//! How servers write paths, by replies and names from their manuals; not run against the products.

use portcullis::ftp::Reply;
use portcullis::policy::{
    Asked, Circumstances, Default, Directory, Grammar, Paths, Request, RuleSet, Words,
};

/// Returns the canonical path that a command names after this answer to PWD; None where it can't be told.
fn path(paths: Paths, pwd: &str, line: &str) -> Option<String> {
    let cwd = Directory::reported(paths, &Reply::new(257, pwd));
    let session = Circumstances {
        paths: Some(paths),
        cwd: cwd.as_ref(),
        ..Circumstances::default()
    };
    let asked = Asked::Command(Words::of(line.as_bytes()));
    let explained = RuleSet::empty(Default::Allow).explain(&Request { session, asked });
    explained.path.expect("a command with a path").ok()
}

fn check(grammar: Grammar, cases: &[(&str, &str, Option<&str>)]) {
    for (pwd, line, wanted) in cases {
        let found = path(Paths::Stated(grammar), pwd, line);
        assert_eq!(found.as_deref(), *wanted, "{grammar}: {pwd}: {line}");
    }
}

#[test]
fn syst_tells_the_grammar() {
    for (text, grammar) in [
        ("UNIX Type: L8", Some(Grammar::Unix)),
        ("Windows_NT", Some(Grammar::Windows)),
        (
            "OS/400 is the remote operating system. The TCP/IP version is \"V7R5M0\".",
            Some(Grammar::IbmI),
        ),
        (
            "MVS is the operating system of this server. FTP Server is running on z/OS.",
            Some(Grammar::Mvs),
        ),
        ("VMS OpenVMS V8.4", Some(Grammar::Vms)),
        ("TOPS20", None),
    ] {
        let found = Paths::of_syst(&Reply::new(215, text));
        assert_eq!(found, grammar.map(Paths::Presumed), "{text}");
    }
}

#[test]
fn quotation_marks_in_a_directory_are_doubled() {
    check(
        Grammar::Unix,
        &[
            (
                "\"/a \"\"b\"\"/c\" is the current directory.",
                "RETR x",
                Some("/a \\\"b\\\"/c/x"),
            ),
            ("/a is the current directory", "RETR x", None),
            ("\"a\" is no whole path", "RETR x", None),
            ("\"/a", "RETR x", None),
        ],
    );
}

#[test]
fn unix_and_windows() {
    check(
        Grammar::Unix,
        &[
            ("\"/home/bob\"", "RETR ./a//b/../c", Some("/home/bob/a/c")),
            ("\"/home/bob\"", "CWD ../../..", Some("/")),
            ("\"/home/bob\"", "CDUP", Some("/home")),
            ("\"/\"", "CDUP", Some("/")),
            ("\"/home/bob\"", "NLST a*.txt", Some("/home/bob/a*.txt")),
            ("\"/home/bob\"", "LIST -laR", Some("/home/bob/**")),
            ("\"/home/bob\"", "STOU", Some("/home/bob/*")),
            ("\"/home/bob\"", "RETR a\\b", Some("/home/bob/a\\\\b")),
        ],
    );
    check(
        Grammar::Windows,
        &[
            (
                "\"/Pub\" is current directory.",
                "RETR a\\..\\B.txt. .",
                Some("/Pub/B.txt"),
            ),
            ("\"/Pub\" is current directory.", "RETR \\x", Some("/x")),
            ("\"/Pub\" is current directory.", "RETR C:\\x", None),
            ("\"/Pub\" is current directory.", "RETR PROGRA~1", None),
        ],
    );
}

#[test]
fn ibm_i() {
    check(
        Grammar::IbmI,
        &[
            (
                "\"QGPL\" is current library.",
                "RETR SALES.MAY",
                Some("/QSYS.LIB/QGPL.LIB/SALES.FILE/MAY.MBR"),
            ),
            (
                "\"QGPL\" is current library.",
                "RETR SALES(MAY)",
                Some("/QSYS.LIB/QGPL.LIB/SALES.FILE/MAY.MBR"),
            ),
            (
                "\"QGPL\" is current library.",
                "RETR MYLIB/SALES.MAY",
                Some("/QSYS.LIB/MYLIB.LIB/SALES.FILE/MAY.MBR"),
            ),
            (
                "\"QGPL\" is current library.",
                "RETR MYLIB/SAVE.SAVF",
                Some("/QSYS.LIB/MYLIB.LIB/SAVE.FILE"),
            ),
            (
                "\"QGPL\" is current library.",
                "RETR /QSYS.LIB/A.LIB/B.FILE/C.MBR",
                Some("/QSYS.LIB/A.LIB/B.FILE/C.MBR"),
            ),
            (
                "\"/home/bob\" is current directory.",
                "RETR ../x",
                Some("/home/x"),
            ),
            ("\"QGPL\" is current library.", "RETR *LIBL/SALES", None),
            ("\"QGPL\" is current library.", "RETR %CURLIB%/X", None),
            ("\"QGPL\" is current library.", "RETR a/b/c", None),
        ],
    );
}

#[test]
fn z_os() {
    check(
        Grammar::Mvs,
        &[
            (
                "\"'BOB.'\" is working directory.",
                "RETR A.B",
                Some("/BOB/A/B"),
            ),
            (
                "\"'BOB.'\" is working directory.",
                "RETR A.PDS(MEM)",
                Some("/BOB/A/PDS/MEM"),
            ),
            (
                "\"'BOB.'\" is working directory.",
                "RETR 'SYS1.PARMLIB(IEASYS00)'",
                Some("/SYS1/PARMLIB/IEASYS00"),
            ),
            (
                "\"'BOB.PDS'\" partitioned data set is working directory.",
                "RETR MEM",
                Some("/BOB/PDS/MEM"),
            ),
            ("\"'BOB.A.'\" is working directory.", "CWD ..", Some("/BOB")),
            ("\"'BOB.A.'\" is working directory.", "CDUP", Some("/BOB")),
            (
                "\"/u/bob\" is the HFS working directory.",
                "RETR a/../b",
                Some("/u/bob/b"),
            ),
            (
                "\"'BOB.'\" is working directory.",
                "RETR /u/bob/x",
                Some("/u/bob/x"),
            ),
            (
                "\"'BOB.'\" is working directory.",
                "LIST A.*",
                Some("/BOB/A/*"),
            ),
            ("\"'BOB.'\" is working directory.", "LIST 'SYS1.**'", None),
            ("\"'BOB.'\" is working directory.", "RETR GDG(0)", None),
            ("\"'BOB.'\" is working directory.", "RETR GDG(-1)", None),
            ("\"'BOB.'\" is working directory.", "RETR &SYSUID.X", None),
            (
                "\"'BOB.PDS'\" partitioned data set is working directory.",
                "RETR A.B",
                None,
            ),
        ],
    );
}

#[test]
fn open_vms() {
    let pwd = "\"DISK$USER:[BOB.SUB]\" is current directory.";
    check(
        Grammar::Vms,
        &[
            (pwd, "RETR FILE.TXT;3", Some("/DISK$USER/BOB/SUB/FILE.TXT")),
            (pwd, "RETR FILE.TXT.3", Some("/DISK$USER/BOB/SUB/FILE.TXT")),
            (
                pwd,
                "RETR [.X]FILE.TXT",
                Some("/DISK$USER/BOB/SUB/X/FILE.TXT"),
            ),
            (pwd, "RETR [-]FILE.TXT", Some("/DISK$USER/BOB/FILE.TXT")),
            (pwd, "RETR [-.-.-.-]FILE.TXT", Some("/DISK$USER/FILE.TXT")),
            (
                pwd,
                "RETR disk$user:[alice]FILE.TXT",
                Some("/DISK$USER/alice/FILE.TXT"),
            ),
            (
                pwd,
                "RETR DISK$USER:[000000.ALICE]X.Y",
                Some("/DISK$USER/ALICE/X.Y"),
            ),
            (pwd, "RETR <ALICE>X.Y", Some("/DISK$USER/ALICE/X.Y")),
            (pwd, "CWD [ALICE]", Some("/DISK$USER/ALICE")),
            (pwd, "DELE X.DIR;1", Some("/DISK$USER/BOB/SUB/X")),
            (pwd, "LIST *.TXT", Some("/DISK$USER/BOB/SUB/*")),
            (pwd, "RETR SYS$SYSTEM:X.EXE", None),
            (pwd, "RETR [...]X.Y", None),
            (pwd, "RETR *.TXT", None),
            (pwd, "RETR ^.X", None),
            (pwd, "RETR [ALICE", None),
        ],
    );
}
