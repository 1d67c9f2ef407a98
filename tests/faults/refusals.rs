//! What must not start: each with an exit code, and with words that name the remedy.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use portcullis_netlab::{Lab, Node};

use crate::site::{gateway_alone, nft};

/// Runs the program behind some words of a shell; answers with its exit code and what it said.
fn refused(lab: &Lab, before: &[&str]) -> (Option<i32>, String) {
    let program = installed(lab);
    let config = lab.directory().join("portcullis.yaml");
    fs::write(
        &config,
        "version: 1\nlisteners: {main: {listen: [\"198.51.100.1:21\"]}}\n\
         upstreams: {server: {addresses: [\"192.0.2.7:21\"]}}\n\
         pinholes: {firewall: nftables}\nprocess: {user: 65534}\ncontrol: {socket: none}\n",
    )
    .expect("written");
    let words: Vec<&str> = ["timeout", "30"].iter().chain(before).copied().collect();
    let output = lab
        .command(Node::Gateway, words[0])
        .args(&words[1..])
        .arg(program)
        .args(["run", "--config"])
        .arg(config)
        .output()
        .expect("run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// The program where everybody may run it.
fn installed(lab: &Lab) -> PathBuf {
    let place = lab.directory().join("portcullis");
    fs::copy(Path::new(env!("CARGO_BIN_EXE_portcullis")), &place).expect("copied");
    place
}

fn tables(lab: &Lab) -> String {
    let mut list = lab.command(Node::Gateway, "nft");
    let output = list.args(["list", "ruleset"]).output().expect("nft");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn is_refused(lab: &Lab, before: &[&str], code: i32, words: &[&str]) {
    let tables_before = tables(lab);
    let (exit, said) = refused(lab, before);
    assert_eq!(exit, Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    assert_eq!(tables(lab), tables_before);
}

#[test]
fn without_root_it_does_not_start() {
    let lab = gateway_alone();
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    is_refused(&lab, &nobody, 77, &["root", "firewall: none"]);
}

#[test]
fn without_cap_net_admin_it_does_not_start() {
    let lab = gateway_alone();
    let lacking = ["setpriv", "--bounding-set=-net_admin"];
    is_refused(&lab, &lacking, 77, &["CAP_NET_ADMIN", "firewall: none"]);
}

/// Every socket is refused as one to netfilter is by a kernel that was built without it.
#[test]
fn without_nf_tables_it_does_not_start() {
    let lab = gateway_alone();
    let lacking = [
        "strace",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "inject=socket:error=EPROTONOSUPPORT",
    ];
    is_refused(&lab, &lacking, 69, &["nf_tables", "6.1", "firewall: none"]);
}

#[test]
fn a_table_of_our_name_that_is_not_ours_stays_as_it_is() {
    let lab = gateway_alone();
    nft(
        &lab,
        "table inet portcullis {\n chain theirs {\n counter\n }\n}\n",
    );
    let words = [
        "inet portcullis",
        "not made by Portcullis",
        "firewall: none",
    ];
    is_refused(&lab, &[], 78, &words);
}

/// Behind our table nobody could reach that program any more.
#[test]
fn a_window_in_which_somebody_listens_is_refused() {
    let lab = gateway_alone();
    let theirs = lab.inside(Node::Gateway, || TcpListener::bind("127.0.0.1:21007"));
    let _theirs = theirs.expect("inside").expect("bound");
    let words = ["21007 (faults", "pinholes.window", "firewall: none"];
    is_refused(&lab, &[], 78, &words);
}

/// Elsewhere it may listen.
#[test]
fn a_port_that_somebody_has_is_named() {
    let lab = gateway_alone();
    let theirs = lab.inside(Node::Gateway, || TcpListener::bind("198.51.100.1:21"));
    let _theirs = theirs.expect("inside").expect("bound");
    let (exit, said) = refused(&lab, &[]);
    assert_eq!(exit, Some(1), "{said}");
    assert!(said.contains("198.51.100.1:21"), "{said}");
}
