//! The gateway's sandbox, one try at a time.

use std::process::Stdio;

use crate::probe::{Outcome, Waiting, landlock_version, outcome, subject_of, tries};

const NO_CAPABILITIES: &str = "0000000000000000";

pub fn has_no_privilege_in_any_set() {
    let gateway = Waiting::start("gateway");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(gateway.status(set), NO_CAPABILITIES, "{set}");
    }
    assert_eq!(gateway.status("Uid"), "60123 60123 60123 60123");
    assert_eq!(gateway.status("Gid"), "60124 60124 60124 60124");
    assert_eq!(gateway.status("Groups"), "");
    assert_eq!(gateway.status("NoNewPrivs"), "1");
    assert_eq!(gateway.status("Seccomp"), "2");
    // Whoever may not be traced belongs to root in /proc (proc(5)), whatever its user is.
    assert_eq!(gateway.owner(), 0);
    assert_eq!(gateway.limits("Max core file size"), ["0", "0"]);
    assert_eq!(gateway.limits("Max open files"), ["512", "512"]);
    assert_eq!(gateway.limits("Max locked memory"), ["0", "0"]);
    assert!(
        gateway
            .report
            .starts_with("gateway: uid 60123 gid 60124, no capabilities"),
        "{}",
        gateway.report
    );
}

pub fn does_what_it_must() {
    for what in [
        "nothing",
        "thread",
        "runtime",
        "random",
        "listen-window",
        "listen-anywhere",
    ] {
        assert_eq!(tries("gateway", what), Outcome::Done, "{what}");
    }
    let mut panics = subject_of("gateway", "panic");
    panics
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    assert_eq!(outcome(&mut panics), Outcome::Done, "a panic is no crime");
    assert_eq!(tries("gateway", "abort"), Outcome::Died(libc::SIGABRT));
}

pub fn is_refused_files_and_foreign_ports() {
    for what in [
        "read-file",
        "list-directory",
        "look-at-file",
        "read-memory-of-others",
        "unix-socket",
        "listen-21",
    ] {
        assert_eq!(
            tries("gateway", what),
            Outcome::Refused(libc::EACCES),
            "{what}"
        );
    }
    if landlock_version() >= 4 {
        assert_eq!(
            tries("gateway", "listen-outside"),
            Outcome::Refused(libc::EACCES)
        );
    } else {
        eprintln!("n/a: this kernel's landlock has no rules for ports");
    }
}

pub fn dies_of_forbidden_calls() {
    for what in [
        // Files: whatever would change one.
        "write-file",
        "create-file",
        "append-device",
        "remove-file",
        "rename-file",
        "make-directory",
        // The journal's descriptor: lines that were written stay.
        "clear-append",
        "ftruncate",
        "fchmod",
        "pwrite64",
        // Other programs, other processes.
        "exec",
        "execveat",
        "run",
        "fork",
        "kill",
        "signal-parent",
        "ptrace",
        "process_vm_writev",
        "pidfd_open",
        "others-limits",
        "others-processors",
        "dumpable-again",
        // Sockets that are not TCP.
        "netlink-socket",
        "udp-socket",
        "raw-socket",
        "packet-socket",
        "bluetooth-socket",
        "multipath-socket",
        "mark-packets",
        // Code that was data before.
        "executable-memory",
        "executable-later",
        "memfd_create",
        // The kernel's larger parts.
        "mount",
        "unshare",
        "setns",
        "bpf",
        "io_uring_setup",
        "keyctl",
        "init_module",
        "userfaultfd",
        "perf_event_open",
        "reboot",
        // The way back.
        "setuid",
        "become-root",
        "capset",
        "seccomp",
    ] {
        assert_eq!(
            tries("gateway", what),
            Outcome::Died(libc::SIGSYS),
            "{what}"
        );
    }
}

pub fn does_not_start_unconfined() {
    let unconfined = |who: &str, what: &str, part: &str| match tries(who, what) {
        Outcome::NotConfined(why) => assert!(why.contains(part), "{why}"),
        other => panic!("{who} {what}: {other:?}"),
    };
    unconfined("root-gateway", "nothing", "`process.user` is root");
    unconfined("gateway", "thread-first", "2 threads");
    // Without the capabilities that changing takes.
    let mut powerless = std::process::Command::new("setpriv");
    let subject = subject_of("gateway", "nothing");
    powerless
        .args(["--bounding-set", "-setuid,-setpcap", "--"])
        .arg(subject.get_program())
        .args(subject.get_args())
        .stdin(Stdio::null());
    match outcome(&mut powerless) {
        Outcome::NotConfined(why) => {
            assert!(why.contains("CAP_SETUID, CAP_SETPCAP"), "{why}");
            assert!(why.contains("firewall: none"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}
