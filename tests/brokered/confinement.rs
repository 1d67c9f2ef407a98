//! Who has which privilege while the whole program runs.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use portcullis::sandbox::KEPT_BY_BROKER;
use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;
use crate::lab::Yard;

/// A field of /proc/PID/status.
fn status(process: u32, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let words = line.expect(field).split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

/// The processes whose parent is this one.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("a list");
    let numbers = processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number: &u32| {
            // It may end while we look.
            let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            let rest = stat.rsplit(") ").next().unwrap_or_default();
            rest.split(' ').nth(1) == Some(&parent.to_string())
        });
    numbers.collect()
}

#[test]
fn only_the_broker_has_capabilities_and_each_gateway_is_confined_anew() {
    let yard = Yard::new();
    yard.works();
    let broker = yard.program.broker();
    let kept = KEPT_BY_BROKER
        .iter()
        .fold(0, |all, (one, _)| all | one.bits());
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status(broker, set), format!("{kept:016x}"), "{set}");
    }
    let everywhere = status(std::process::id(), "Cpus_allowed");
    let confined = || {
        let children = children(broker);
        assert!(children.contains(&yard.program.gateway()), "{children:?}");
        for child in children {
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(status(child, set), "0000000000000000", "{child} {set}");
            }
            for (field, value) in [
                ("Uid", "65534 65534 65534 65534"),
                ("Gid", "65534 65534 65534 65534"),
                ("Groups", ""),
                ("NoNewPrivs", "1"),
                ("Seccomp", "2"),
            ] {
                assert_eq!(status(child, field), value, "{child} {field}");
            }
            // The broker may be on one processor for a while, beside whoever asks it.
            assert_eq!(status(child, "Cpus_allowed"), everywhere, "{child}");
        }
    };
    confined();
    // Else there would be nothing for the next gateway to inherit.
    let until = Instant::now() + PATIENCE;
    while std::thread::available_parallelism().is_ok_and(|all| all.get() > 1)
        && status(broker, "Cpus_allowed") == everywhere
    {
        assert!(
            Instant::now() < until,
            "the broker never came to whoever asks"
        );
        yard.works();
    }
    // As the kernel does it when a call is forbidden.
    let gateway = i32::try_from(yard.program.gateway()).expect("a process id");
    kill_process(Pid::from_raw(gateway).expect("a process id"), Signal::SYS).expect("killed");
    yard.program.logs("(SIGSYS)");
    yard.works();
    confined();
}

#[test]
fn gateway_and_helper_hold_no_file_but_the_journal_and_no_netlink_socket() {
    let yard = Yard::new();
    yard.works();
    let list = format!("/proc/{}/net/netlink", yard.program.broker());
    let netlink: HashSet<String> = fs::read_to_string(list)
        .expect("a list")
        .lines()
        .filter_map(|line| Some(format!("socket:[{}]", line.split_whitespace().last()?)))
        .collect();
    let held = |process| -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{process}/fd")).expect("a list");
        let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.map(|target| target.display().to_string()).collect()
    };
    let of_netlink = |name: &String| netlink.contains(name);
    assert!(held(yard.program.broker()).iter().any(of_netlink));

    let journal = yard.program.journal_path().display().to_string();
    for child in children(yard.program.broker()) {
        for name in held(child) {
            assert!(!of_netlink(&name), "{child} has a netlink socket");
            let harmless = ["socket:", "pipe:", "anon_inode:", "/memfd:", "/dev/null"]
                .iter()
                .any(|kind| name.starts_with(kind));
            assert!(harmless || name == journal, "{child} has {name}");
        }
    }
    let gateway = yard.program.gateway();
    let flags: Vec<i32> = fs::read_dir(format!("/proc/{gateway}/fd"))
        .expect("a list")
        .filter_map(Result::ok)
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == Path::new(&journal)))
        .map(|entry| flags(gateway, &entry.file_name().to_string_lossy()))
        .collect();
    let appends = libc::O_WRONLY | libc::O_APPEND;
    assert_eq!(flags.len(), 1);
    assert_eq!(flags[0] & (libc::O_ACCMODE | libc::O_APPEND), appends);
}

/// With which flags a descriptor is open (proc(5)).
fn flags(process: u32, descriptor: &str) -> i32 {
    let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{descriptor}"));
    let info = info.expect("what is known of a descriptor");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    i32::from_str_radix(flags.expect("flags").trim(), 8).expect("octal")
}
