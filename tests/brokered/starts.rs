//! Starts that cannot succeed: what is said, and with which exit code.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use portcullis_netlab::{Lab, Node};

fn run(command: &mut Command, more: &[&str]) -> Output {
    command
        .args([
            "run",
            "--listen",
            "127.0.0.1:2121",
            "--upstream",
            "127.0.0.1:1",
        ])
        .args(["--firewall", "nftables"])
        .args(more)
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .expect("run")
}

#[track_caller]
fn fails(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn without_privilege_it_is_77_and_the_remedy_is_named() {
    // A copy that nobody in particular can execute.
    let directory = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a directory");
    let program = directory.path().join("portcullis");
    std::fs::copy(env!("CARGO_BIN_EXE_portcullis"), &program).expect("copied");
    let mut command = Command::new(program);
    command.uid(65534).gid(65534);
    fails(
        &run(&mut command, &[]),
        77,
        &["CAP_NET_ADMIN", "firewall: none"],
    );
}

#[test]
fn a_user_that_is_not_there_is_78_and_said_how_to_make() {
    let lab = Lab::new(&[]).expect("a laboratory");
    let config = lab.directory().join("portcullis.yaml");
    let text = "version: 1\nlisteners: {main: {listen: [\"127.0.0.1:2121\"]}}\nupstreams: {old: {addresses: [\"127.0.0.1:1\"]}}\n\
                pinholes: {firewall: nftables}\nprocess: {user: pc-nobody-of-this-name}\ncontrol: {socket: none}\n";
    std::fs::write(&config, text).expect("written");
    let mut command = lab.command(Node::Gateway, env!("CARGO_BIN_EXE_portcullis"));
    let output = command
        .args(["run", "--config"])
        .arg(config)
        .output()
        .expect("run");
    fails(&output, 78, &["useradd", "pc-nobody-of-this-name"]);
}

#[test]
fn a_table_of_our_name_that_is_not_ours_is_78_and_left_alone() {
    let lab = Lab::new(&[]).expect("a laboratory");
    let config = lab.directory().join("portcullis.yaml");
    let text = "version: 1\nlisteners: {main: {listen: [\"127.0.0.1:2121\"]}}\nupstreams: {old: {addresses: [\"127.0.0.1:1\"]}}\n\
                pinholes: {firewall: nftables}\nprocess: {user: 65534}\ncontrol: {socket: none}\n";
    std::fs::write(&config, text).expect("written");
    let nft = |arguments: &[&str]| {
        let output = lab.command(Node::Gateway, "nft").args(arguments).output();
        let output = output.expect("nft");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    nft(&["add table inet portcullis"]);
    nft(&["add chain inet portcullis mine { type filter hook input priority 0; }"]);
    let before = nft(&["list ruleset"]);
    let mut command = lab.command(Node::Gateway, env!("CARGO_BIN_EXE_portcullis"));
    let output = command
        .args(["run", "--config"])
        .arg(config)
        .output()
        .expect("run");
    fails(&output, 78, &["inet portcullis", "not made by Portcullis"]);
    assert_eq!(nft(&["list ruleset"]), before);
}

/// A config and a program in a namespace of its own, to be started by other programs.
fn started_by(prefix: &[&str]) -> Output {
    let lab = Lab::new(&[]).expect("a laboratory");
    let config = lab.directory().join("portcullis.yaml");
    let text = "version: 1\nlisteners: {main: {listen: [\"127.0.0.1:2121\"]}}\nupstreams: {old: {addresses: [\"127.0.0.1:1\"]}}\n\
                pinholes: {firewall: nftables}\nprocess: {user: 65534}\ncontrol: {socket: none}\n";
    std::fs::write(&config, text).expect("written");
    let (program, words) = prefix.split_first().expect("a program");
    let mut command = lab.command(Node::Gateway, program);
    command.args(words).arg(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["run", "--config"]).arg(config);
    command.output().expect("run")
}

#[test]
fn a_kernel_that_is_too_old_is_69() {
    // personality(2), UNAME26: the kernel says that it is 2.6.
    let output = started_by(&["setarch", "--uname-2.6"]);
    fails(&output, 69, &["2.6", "6.1"]);
}

#[test]
fn a_kernel_that_does_not_know_nf_tables_is_69() {
    let output = started_by(&[
        "strace",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=sendto",
        "-e",
        "inject=sendto:error=EOPNOTSUPP:when=1",
    ]);
    fails(&output, 69, &["nft_chain_nat", "firewall: none"]);
}
