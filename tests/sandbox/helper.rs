//! The helper's process: what it may, and that it resolves names all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Instant;

use portcullis::helper::{Client, Lines, Names as _, Told};

use crate::probe::{Outcome, Waiting, landlock_version, tries};
use crate::{PATIENCE, SOMEBODY};

pub fn reads_and_runs_but_writes_nothing() {
    let helper = Waiting::start("helper");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(helper.status(set), "0000000000000000", "{set}");
    }
    assert_eq!(helper.status("Uid"), "60123 60123 60123 60123");
    assert_eq!(helper.status("NoNewPrivs"), "1");
    assert_eq!(helper.status("Seccomp"), "2");
    for what in ["read-file", "run", "udp-socket", "append-device", "thread"] {
        assert_eq!(tries("helper", what), Outcome::Done, "{what}");
    }
    // Everybody may write to /tmp: only landlock is between.
    let mode = fs::metadata("/tmp").expect("/tmp").permissions().mode();
    assert_eq!(mode & 0o002, 0o002, "everybody may write to /tmp");
    if landlock_version() >= 1 {
        for what in ["create-file", "make-directory"] {
            assert_eq!(
                tries("helper", what),
                Outcome::Refused(libc::EACCES),
                "{what}"
            );
        }
    } else {
        eprintln!("n/a: this kernel has no landlock");
    }
}

/// The program's own subcommand, as the broker starts it.
pub fn start(lines: &Lines) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["helper", "--account", SOMEBODY]);
    lines.start_as(command).expect("a helper")
}

pub fn resolves_names_and_tells_the_broker() {
    let lines = Lines::new().expect("lines");
    let mut helper = start(&lines);
    let client = Client::new(lines.for_gateway().expect("an end")).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let found = runtime
        .block_on(client.resolve("localhost"))
        .expect("localhost is known everywhere");
    assert!(found.iter().all(std::net::IpAddr::is_loopback), "{found:?}");
    let told = Told::receive(lines.told())
        .expect("a message")
        .expect("told");
    assert_eq!((told.name.as_str(), &told.addresses), ("localhost", &found));

    // It is killed: another takes its place on the same lines, and the gateway asks on.
    helper.kill().expect("killed");
    helper.wait().expect("waited");
    let mut second = start(&lines);
    let again = runtime.block_on(client.resolve("localhost"));
    assert_eq!(again.expect("localhost"), found);

    // Nobody can ask any more: it ends by itself.
    drop((client, lines));
    let begin = Instant::now();
    while second.try_wait().expect("waited").is_none() {
        assert!(begin.elapsed() < PATIENCE, "the helper stays");
        std::thread::yield_now();
    }
}
