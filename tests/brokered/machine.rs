//! The units of `deploy/systemd` under a real systemd, the first process of a machine of its own.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_netlab::{Family, Lab, Node, program};

use crate::PATIENCE;
use crate::client::Client;
use crate::confinement::children;
use crate::lab::around;
use crate::server::Server;

/// A machine that systemd has booted, in the gateway's place.
struct Machine {
    // Dropped first: what runs in its namespaces is killed then.
    lab: Lab,
    _server: Server,
    child: Child,
    group: Group,
    /// Its first process, as this machine counts.
    init: u32,
}

/// A control group that systemd is the owner of.
struct Group(PathBuf);

impl Group {
    fn new() -> Group {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
        let mount = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (at, kind) = (fields.nth(1)?, fields.next()?);
            (kind == "cgroup2").then_some(at)
        });
        let mount = Path::new(mount.expect("cgroup2 is mounted"));
        let path = mount.join(format!("pc-{}-machine", std::process::id()));
        fs::create_dir(&path).expect("a control group");
        Group(path)
    }

    fn remove(path: &Path) {
        for below in fs::read_dir(path).into_iter().flatten().flatten() {
            if below.file_type().is_ok_and(|kind| kind.is_dir()) {
                Group::remove(&below.path());
            }
        }
        // Whatever is left says so by staying.
        let _ = fs::remove_dir(path);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let until = Instant::now() + PATIENCE;
        while self.0.exists() && Instant::now() < until {
            Group::remove(&self.0);
            // What was killed takes a moment to be gone.
            thread::yield_now();
        }
    }
}

const CONFIG: &str = "version: 1\nlisteners: {main: {listen: [\"*:21\"]}}\nupstreams: {legacy: {addresses: [\"192.0.2.7:2121\"]}}\n\
    pinholes: {firewall: nftables}\njournal: {file: /var/log/portcullis/journal.jsonl}\n";

impl Machine {
    fn boot() -> Machine {
        program::find("systemctl").expect("systemd");
        let (lab, server) = around(Node::Server);

        // An abstract name is known all over a network namespace, whatever is mounted.
        let name = UnixAddr::from_abstract_name("portcullis-machine").expect("a name");
        let bind = || UnixDatagram::bind_addr(&name);
        let notify = lab.inside(Node::Gateway, bind).expect("inside");
        let notify = notify.expect("a socket");
        notify.set_read_timeout(Some(PATIENCE)).expect("set");

        let root = lab.directory().join("machine");
        fs::create_dir(&root).expect("a directory");
        fs::write(lab.directory().join("machine.yaml"), CONFIG).expect("written");
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let group = Group::new();
        let mut command = lab.command(Node::Gateway, "sh");
        command
            .arg(here.join("tests/brokered/machine.sh"))
            .arg(&root)
            .arg(env!("CARGO_BIN_EXE_portcullis"))
            .arg(here.join("deploy"))
            .env("NOTIFY_SOCKET", "@portcullis-machine")
            .stdin(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        fs::write(group.0.join("cgroup.procs"), child.id().to_string()).expect("moved");
        let mut input = child.stdin.take().expect("its input");
        input.write_all(b"go\n").expect("told");
        let mut told = [0; 4096];
        loop {
            let length = notify.recv(&mut told).expect("a machine that boots");
            let told = String::from_utf8_lossy(&told[..length]);
            if told.lines().any(|line| line == "READY=1") {
                break;
            }
        }
        let init = children(child.id())[0];
        Machine {
            lab,
            _server: server,
            child,
            group,
            init,
        }
    }

    fn run(&self, words: &[&str]) -> Output {
        let init = self.init.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &init, "--all", "--root", "--wd"]);
        command.args(words).output().expect("nsenter")
    }

    fn systemctl(&self, words: &[&str]) -> String {
        let output = self.run(&[&["systemctl"], words].concat());
        assert!(
            output.status.success(),
            "{words:?}: {output:?}\n{}",
            self.log()
        );
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    fn property(&self, name: &str) -> String {
        self.systemctl(&["show", "--property", name, "--value", "portcullis.service"])
    }

    fn log(&self) -> String {
        let output = self.run(&["journalctl", "--no-pager", "--lines", "50"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A file of the machine's.
    fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    fn journal(&self) -> String {
        let file = self.file("/var/log/portcullis/journal.jsonl");
        fs::read_to_string(file).expect("a journal")
    }

    /// Waits until something is so.
    #[track_caller]
    fn comes_to(&self, is_so: impl Fn() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(
                Instant::now() < until,
                "it does not come to that: {}",
                self.log()
            );
            // Nobody tells of it, so it is looked at again, up to the bound above.
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The client takes a file, and the kernel carries it.
    fn works(&self) {
        let at = SocketAddr::new(Node::Gateway.address(Family::V4), 21);
        let mut client = self
            .lab
            .inside(Node::Client, || Client::login(at))
            .expect("inside");
        let taken = self.lab.inside(Node::Client, || client.download("file"));
        assert_eq!(taken.expect("inside"), b"some content");
        client.asks("QUIT", "221");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::write(self.group.0.join("cgroup.kill"), "1");
        let _ = self.child.wait();
    }
}

#[test]
fn the_units_start_reload_restart_and_stop_under_systemd() {
    let machine = Machine::boot();
    assert_eq!(
        machine.systemctl(&["is-active", "portcullis.service"]),
        "active"
    );
    machine.works();
    let journal = machine.journal();
    assert!(
        journal.contains("\"wire_bytes_down\""),
        "not forwarded: {journal}"
    );
    let status = machine.run(&["portcullis", "ctl", "status"]);
    assert!(status.status.success(), "{status:?}");
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains("nftables"), "{said}");

    machine.systemctl(&["reload", "portcullis.service"]);
    // The order to reload is answered before it is done.
    machine.comes_to(|| machine.journal().contains("\"gateway.reloaded\""));
    let config = machine.file("/etc/portcullis/portcullis.yaml");
    fs::write(&config, CONFIG.replace("listen", "lisen")).expect("written");
    let refused = machine.run(&["systemctl", "reload", "portcullis.service"]);
    assert!(!refused.status.success(), "a wrong config was reloaded");
    assert_eq!(
        machine.systemctl(&["is-active", "portcullis.service"]),
        "active"
    );
    machine.works();
    fs::write(&config, CONFIG).expect("written");

    machine.systemctl(&[
        "kill",
        "--signal",
        "KILL",
        "--kill-who",
        "main",
        "portcullis.service",
    ]);
    machine.comes_to(|| {
        machine.property("NRestarts") == "1" && machine.property("ActiveState") == "active"
    });
    machine.works();
    assert_eq!(machine.property("Result"), "success");

    machine.systemctl(&["stop", "portcullis.socket", "portcullis.service"]);
    assert_eq!(machine.property("ActiveState"), "inactive");
    assert_eq!(machine.property("Result"), "success");
    let status = machine.run(&["portcullis", "ctl", "status"]);
    assert!(!status.status.success(), "it runs still: {status:?}");
}
