//! The broker, and what it starts.

use std::process::{Command, Stdio};

use portcullis::sandbox::KEPT_BY_BROKER;

use crate::probe::{Outcome, Waiting, outcome, status_field, subject_of, tries};

/// The broker's capabilities as /proc shows them.
fn kept() -> String {
    let bits = KEPT_BY_BROKER
        .iter()
        .fold(0, |all, (one, _)| all | one.bits());
    format!("{bits:016x}")
}

pub fn broker_keeps_what_it_needs() {
    let broker = Waiting::start("broker");
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(broker.status(set), kept(), "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(broker.status(set), "0000000000000000", "{set}");
    }
    assert_eq!(broker.status("NoNewPrivs"), "1");
    assert_eq!(broker.status("Seccomp"), "2");
    assert_eq!(broker.limits("Max core file size"), ["0", "0"]);
    for what in ["netlink-socket", "listen-21", "read-file", "run"] {
        assert_eq!(tries("broker", what), Outcome::Done, "{what}");
    }
    // Root starts programs with all that its bounding set has, and no more.
    let mut child = Command::new("cat");
    child.arg("/proc/self/status");
    let status = through_broker(&child);
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status_field(&status, set), kept(), "a child's {set}");
    }
}

/// What a command prints that a confined broker starts, and how it ends.
fn through_broker(command: &Command) -> String {
    let mut subject = subject_of("broker", "start");
    subject
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    let output = subject.output().expect("a process");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn broker_dies_of_what_none_needs() {
    let never = [
        "ptrace",
        "process_vm_writev",
        "mount",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "init_module",
        "userfaultfd",
        "perf_event_open",
        "reboot",
        "raw-socket",
        "packet-socket",
        "bluetooth-socket",
    ];
    for who in ["broker", "helper"] {
        for what in never {
            assert_eq!(
                tries(who, what),
                Outcome::Died(libc::SIGSYS),
                "{who} {what}"
            );
        }
        assert_eq!(
            tries(who, "io_uring_setup"),
            Outcome::Refused(libc::ENOSYS),
            "{who}: programs go on without it"
        );
    }
    let told = through_broker(&subject_of("unconfined", "nothing"));
    assert!(told.contains("done nothing"), "{told}");
    let told = through_broker(&subject_of("unconfined", "mount"));
    assert!(told.contains("SIGSYS"), "{told}");
}

pub fn broker_starts_a_gateway() {
    for who in ["broker-gateway", "broker-helper"] {
        let child = Waiting::start(who);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(child.status(set), "0000000000000000", "{who} {set}");
        }
        assert_eq!(child.status("Uid"), "60123 60123 60123 60123");
        assert_eq!(tries(who, "mount"), Outcome::Died(libc::SIGSYS));
    }
    assert_eq!(tries("broker-gateway", "exec"), Outcome::Died(libc::SIGSYS));
    let mut listens = subject_of("broker-gateway", "listen-window");
    assert_eq!(outcome(listens.stdin(Stdio::null())), Outcome::Done);
}
