//! Processes in their places: started there, ended with everything that they started.
//!
//! A program is started through this same executable (`enter`), which takes its place and then becomes the program: so
//! no code runs between fork and exec in here.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::Context as _;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::network::Place;

/// Descriptors that a process may have open, where the machine allows as many.
const DESCRIPTORS: u64 = 20_000;

/// What `enter` is told on its command line.
#[derive(Debug, clap::Args)]
pub struct Entry {
    /// Name of the network namespace.
    #[arg(long)]
    namespace: String,
    /// Directory of the control group.
    #[arg(long)]
    cgroup: Option<PathBuf>,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Takes the place and becomes the program; returns only an error.
pub fn enter(entry: &Entry) -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Some(cgroup) = &entry.cgroup {
        std::fs::write(cgroup.join("cgroup.procs"), "0")
            .context("cannot enter the control group")?;
    }
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let most = limit
        .maximum
        .map_or(DESCRIPTORS, |hard| hard.min(DESCRIPTORS));
    rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(most),
            maximum: Some(most),
        },
    )?;
    let namespace =
        File::open(Path::new("/run/netns").join(&entry.namespace)).context("no such namespace")?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    let [program, arguments @ ..] = entry.command.as_slice() else {
        anyhow::bail!("no program")
    };
    Err(Command::new(program).args(arguments).exec())
        .with_context(|| format!("cannot run {}", program.display()))
}

/// A running program; dropping it ends it and its descendants.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

/// What connects a program with us.
#[derive(Debug)]
pub enum Wires {
    /// Both outputs go to a file.
    Log(File),
    /// Input and output are pipes; errors go to a file.
    Pipes(File),
}

impl Running {
    /// Starts a program in its place.
    pub fn start(
        place: Place,
        cgroup: Option<&Path>,
        program: &Path,
        arguments: &[OsString],
        wires: Wires,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["enter", "--namespace", &place.namespace()]);
        if let Some(cgroup) = cgroup {
            command.arg("--cgroup").arg(cgroup);
        }
        command
            .arg("--")
            .arg(program)
            .args(arguments)
            .process_group(0);
        match wires {
            Wires::Log(file) => command
                .stdin(Stdio::null())
                .stdout(file.try_clone()?)
                .stderr(file),
            Wires::Pipes(file) => command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(file),
        };
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child })
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the child itself, to take its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Says how it ended, if it did.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let family = family(self.id());
        if let Some(group) = Pid::from_raw(self.id().cast_signed()) {
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
        for member in family
            .into_iter()
            .filter_map(|id| Pid::from_raw(id.cast_signed()))
        {
            rustix::process::kill_process(member, Signal::KILL).ok();
        }
        self.child.wait().ok();
    }
}

/// Returns the ids of a process and of its living descendants.
pub fn family(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = processes()
        .filter_map(|id| Some((id, Stat::read(id)?.parent)))
        .collect();
    let mut family = vec![root];
    let mut seen = 0;
    while let Some(&parent) = family.get(seen) {
        family.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(id, _)| id),
        );
        seen += 1;
    }
    family
}

fn processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What `/proc/ID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Id of its parent.
    pub parent: u32,
    /// User and system time in clock ticks, of itself and of the children that it has waited for.
    pub ticks: u64,
}

impl Stat {
    /// Reads it, if the process still exists.
    pub fn read(id: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name in parentheses may hold anything; after its last parenthesis come state, parent, ... (proc(5)).
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let parent = fields.get(1)?.parse().ok()?;
        let ticks = fields
            .get(11..15)?
            .iter()
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Some(Self { parent, ticks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1";
        assert_eq!(
            Stat::parse(text),
            Some(Stat {
                parent: 7,
                ticks: 100
            })
        );
    }

    #[test]
    fn a_child_is_family() {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cat");
        assert!(family(std::process::id()).contains(&child.id()));
        drop(child.stdin.take());
        child.wait().expect("cat ends with its input");
    }
}
