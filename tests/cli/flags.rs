//! Flags and file are one configuration.

use portcullis::config::{Config, Flags, JournalFile, ListenAddress};
use std::path::Path;

use crate::program::{portcullis, portcullis_in};

fn flags(listen: &[&str], upstream: &[&str]) -> Flags {
    Flags {
        listen: listen.iter().map(ToString::to_string).collect(),
        upstream: upstream.iter().map(ToString::to_string).collect(),
        ..Flags::default()
    }
}

const TWO: &str = "version: 1
listeners: {a: {listen: [\"*:21\"], upstream: x}, b: {listen: [\"*:2121\"], upstream: y}}
upstreams: {x: {addresses: [a]}, y: {addresses: [b]}}
";

#[test]
fn listen_and_upstream_are_a_whole_configuration() {
    let from_flags = Config::from_flags(&flags(&["*:21"], &["10.0.0.5:21"]), None)
        .expect("good flags")
        .config;
    let text = "version: 1\nlisteners: {main: {listen: [\"*:21\"]}}\nupstreams: {server: {addresses: [\"10.0.0.5:21\"]}}\ncontrol: {socket: none}";
    assert_eq!(
        from_flags,
        Config::parse(text, "test").expect("a good file").config
    );
}

#[test]
fn without_a_file_the_control_socket_is_the_users_own_or_none() {
    let flags = flags(&["*:21"], &["10.0.0.5:21"]);
    let socket = |runtime: Option<&str>| {
        Config::from_flags(&flags, runtime.map(Path::new))
            .expect("good flags")
            .config
            .control
            .socket
    };
    assert_eq!(socket(None), None);
    assert_eq!(socket(Some("")), None);
    assert_eq!(
        socket(Some("/run/user/1000")).as_deref(),
        Some(Path::new("/run/user/1000/portcullis/control.sock"))
    );
}

#[test]
fn flags_win_over_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("portcullis.yaml");
    std::fs::write(&file, include_str!("examples/good/smallest.yaml")).expect("a file");
    let flags = Flags {
        listen: vec!["127.0.0.1:2121".into(), "[::1]:2121".into()],
        upstream: vec!["ftp.example.com".into(), "10.0.0.6".into()],
        window: Some("30000-30001".into()),
        advertise: Some("203.0.113.10".into()),
        journal: Some("ftp.jsonl".into()),
        data_mode: Some("active".into()),
        firewall: Some("nftables".into()),
        tls: Some("implicit".into()),
        certificate: Some("/tls/chain.pem".into()),
        key: Some("/tls/key.pem".into()),
    };
    let loaded = Config::load_with(&file, &flags).expect("good flags");
    assert_eq!(loaded.warnings, []);
    insta::assert_snapshot!("flags_over_file", loaded.config.to_yaml());
}

#[test]
fn a_dash_is_standard_output() {
    let mut flags = flags(&["127.0.0.1:2121"], &["10.0.0.5"]);
    flags.journal = Some("-".into());
    assert_eq!(
        Config::from_flags(&flags, None)
            .expect("good flags")
            .config
            .journal
            .file,
        JournalFile::Stdout
    );
}

#[test]
fn a_flag_that_could_mean_several_listeners_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("two.yaml"), TWO).expect("a file");
    for (flag, value) in [
        ("--listen", "*:2100"),
        ("--upstream", "c"),
        ("--advertise", "203.0.113.10"),
        ("--data-mode", "active"),
    ] {
        let ran = portcullis_in(
            directory.path(),
            &["run", "--config", "two.yaml", flag, value, "--print-config"],
        );
        assert_eq!((ran.code, ran.stdout.as_str()), (78, ""));
        assert!(
            ran.stderr
                .starts_with(&format!("{flag}: error: the file has 2 ")),
            "{}",
            ran.stderr
        );
    }
    let ran = portcullis_in(
        directory.path(),
        &[
            "run",
            "--config",
            "two.yaml",
            "--window",
            "30000-30001",
            "--print-config",
        ],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn bad_flags_are_named() {
    let ran = portcullis(&[
        "run",
        "--listen",
        "localhost:2121",
        "--upstream",
        "",
        "--window",
        "5-4",
        "--advertise",
        "here",
        "--data-mode",
        "pasive",
        "--firewall",
        "iptables",
        "--journal",
        "",
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (78, ""));
    insta::assert_snapshot!("bad_flags", ran.stderr);
}

#[test]
fn one_of_two_needed_flags_is_not_enough() {
    let ran = portcullis(&["run", "--listen", "127.0.0.1:2121"]);
    assert_eq!(ran.code, 78);
    assert!(
        ran.stderr
            .contains("without a configuration file --upstream is needed"),
        "{}",
        ran.stderr
    );
    let ran = portcullis(&["run", "--upstream", "10.0.0.5"]);
    assert!(
        ran.stderr
            .contains("without a configuration file --listen is needed"),
        "{}",
        ran.stderr
    );
}

#[test]
fn listen_may_be_repeated() {
    let ran = portcullis(&[
        "run",
        "-l",
        "127.0.0.1:2121",
        "-l",
        "[::1]:2121",
        "-u",
        "a.example",
        "-u",
        "b.example",
        "--print-config",
    ]);
    let config = Config::parse(&ran.stdout, "printed")
        .expect("a good configuration")
        .config;
    let listen = &config.listeners["main"].listen;
    assert_eq!(
        listen.iter().map(ListenAddress::port).collect::<Vec<_>>(),
        [2121, 2121]
    );
    assert_eq!(config.upstreams["server"].addresses.len(), 2);
}

#[test]
fn run_without_anything_teaches() {
    if Path::new(portcullis::cli::run::DEFAULT_CONFIG).exists() {
        // On a machine with an installed gateway it would be that one.
        return;
    }
    let ran = portcullis(&["run"]);
    assert_eq!(
        (ran.code, ran.stderr.lines().count()),
        (78, 1),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("portcullis run --listen 127.0.0.1:2121 --upstream 10.0.0.5:21"),
        "{}",
        ran.stderr
    );
}
