//! Values alone: what processes really can't do is shown by tests/sandbox.

use super::*;
use std::os::unix::process::ExitStatusExt as _;

#[test]
fn a_report_is_one_line_that_says_what_is_kept() {
    let account = Account { uid: 990, gid: 991 };
    let gateway = Report {
        process: Process::Gateway,
        account,
        capabilities: Vec::new(),
        landlock: Some(Landlock::Version(7)),
    };
    assert_eq!(
        gateway.to_string(),
        "gateway: uid 990 gid 991, no capabilities, no_new_privs, seccomp, landlock 7"
    );
    let broker = Report {
        process: Process::Broker,
        capabilities: vec!["CAP_NET_ADMIN", "CAP_KILL"],
        landlock: None,
        ..gateway.clone()
    };
    assert_eq!(
        broker.to_string(),
        "broker: uid 990 gid 991, only CAP_NET_ADMIN, CAP_KILL, no_new_privs, seccomp"
    );
    for (landlock, told) in [
        (Landlock::Absent, "no landlock"),
        (Landlock::Version(2), "files alone"),
        (Landlock::Version(4), "no signals"),
    ] {
        let report = Report {
            landlock: Some(landlock),
            ..gateway.clone()
        };
        assert!(report.to_string().contains(told), "{report}");
    }
}

#[test]
fn a_forbidden_call_is_told_apart_from_other_ends() {
    let forbidden = ending(ExitStatus::from_raw(libc::SIGSYS));
    assert!(forbidden.contains("SIGSYS"), "{forbidden}");
    assert_eq!(
        ending(ExitStatus::from_raw(libc::SIGKILL)),
        "it was ended by signal 9"
    );
    assert_eq!(
        ending(ExitStatus::from_raw(3 << 8)),
        "it ended with exit code 3"
    );
}

#[test]
fn threads_that_run_already_are_no_secret() {
    // The harness runs tests on threads of their own.
    let confined = confine_gateway(&Confinement {
        account: Account { uid: 990, gid: 991 },
        descriptors: None,
        windows: Vec::new(),
    });
    assert!(matches!(confined, Err(Error::Threads(2..))));
    assert!(matches!(confine_broker(), Err(Error::Threads(2..))));
}
