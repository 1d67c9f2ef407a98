//! The helper's process: what it may, and that it resolves names all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis::helper::{Client, Exit, Exits as _, Fault, Lines, Names as _, Told};

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

pub fn asks_whom_the_broker_has_listed_and_nobody_else() {
    let lines = Lines::new().expect("lines");
    let mut helper = start(&lines);
    let client = Client::new(lines.for_gateway().expect("an end")).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let program = |text: &str| Exit::Program(["/bin/sh", "-c", text].map(str::to_owned).to_vec());
    let ask =
        |exit: &Exit| runtime.block_on(client.ask(exit.clone(), b"question\n".to_vec(), PATIENCE));
    let shows = program(
        "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t\\n' ' '",
    );
    // Neither before a list nor beside it.
    assert_eq!(ask(&shows), Err(Fault::NotPermitted));
    let hides = program("ls -m /proc/self/fd");
    let writes = program("cat >/tmp/portcullis-helper-$$ && echo written; echo tried");
    let late = program("sleep 600");
    let listed = [shows.clone(), hides.clone(), writes.clone(), late.clone()];
    lines.permit(&listed).expect("told");
    assert_eq!(ask(&program("echo yes")), Err(Fault::NotPermitted));
    let said = ask(&shows).expect("an answer");
    assert_eq!(
        String::from_utf8_lossy(&said).trim(),
        "Uid: 60123 60123 60123 60123 CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2"
    );
    // 3 is the directory that `ls` reads: none of the helper's lines.
    let said = ask(&hides).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&said), "0, 1, 2, 3");
    if landlock_version() >= 1 {
        let said = ask(&writes).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&said), "tried");
    }
    let short = Duration::from_millis(300);
    let asked = client.ask(late, b"question\n".to_vec(), short);
    assert_eq!(runtime.block_on(asked), Err(Fault::TimedOut));
    helper.kill().expect("killed");
    helper.wait().expect("waited");
}
