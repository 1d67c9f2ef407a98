//! What the program says about itself.

use crate::program::portcullis;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["run"],
    &["check"],
    &["explain"],
    &["schema"],
    #[cfg(feature = "demo")]
    &["demo"],
    &["journal"],
    &["journal", "pinholes"],
    &["ctl"],
    &["ctl", "status"],
    &["ctl", "sessions"],
    &["ctl", "kill"],
    &["ctl", "drain"],
    &["ctl", "bans"],
    &["ctl", "ban"],
    &["ctl", "unban"],
    &["ctl", "reload"],
    &["completions"],
    &["man"],
];

#[test]
fn help_teaches() {
    for &path in COMMANDS {
        let ran = portcullis(&[path, &["--help"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            ran.stdout.lines().all(|line| line.chars().count() <= 100),
            "{}",
            ran.stdout
        );
        if matches!(
            path,
            [] | ["run" | "check" | "explain" | "schema" | "completions" | "man"]
                | ["ctl"]
                | ["ctl", "ban"]
        ) {
            insta::assert_snapshot!(format!("help_{}", path.join("_")), ran.stdout);
        }
    }
}

#[test]
fn completions_know_the_subcommands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = portcullis(&["completions", shell]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        for word in ["run", "check", "print-config", "sessions", "unban"] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn manual_pages_are_there_for_every_subcommand() {
    for &path in COMMANDS {
        let ran = portcullis(&[&["man"], path].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let name = [&["portcullis"], path].concat().join("-");
        assert!(
            ran.stdout.contains(&format!(".TH {name} 1")),
            "{name}: {:.300}",
            ran.stdout
        );
    }
    let ran = portcullis(&["man", "fly"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (2, "portcullis: there is no subcommand `fly`\n")
    );
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for args in [
        &["fly"][..],
        &["run", "--listne", "x"],
        &[],
        &["ctl", "kill"],
        &["ctl", "ban"],
        &["ctl", "ban", "192.0.2.7", "--for"],
    ] {
        assert_eq!(portcullis(args).code, 2, "{args:?}");
    }
}

#[test]
fn version_is_told() {
    let ran = portcullis(&["--version"]);
    assert_eq!(
        ran.stdout,
        format!("portcullis {}\n", env!("CARGO_PKG_VERSION"))
    );
}
