//! A program that runs beside the tests, with its output in a file, ended by its process id.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

/// How often a condition of another process is looked at while waiting for it.
const GLANCE: Duration = Duration::from_millis(10);

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A running program; dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Daemon {
    /// Starts a command with its standard output and error in the file `output`.
    ///
    /// # Errors
    /// The file can't be created, or the program can't be started.
    pub fn start(name: &str, command: &mut Command, output: &Path) -> Result<Self, Failure> {
        let file =
            File::create(output).map_err(|error| format!("{}: {error}", output.display()))?;
        let second = file
            .try_clone()
            .map_err(|error| format!("{}: {error}", output.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(second)
            .spawn()
            .map_err(|error| format!("{name} could not be started ({command:?}): {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            output: output.to_owned(),
        })
    }

    /// Waits until TCP ports are listened on in the network namespace of the program.
    ///
    /// # Errors
    /// The program ended, or the ports were not there in time; with what it printed.
    pub fn wait_for_ports(&mut self, ports: &[u16], patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Err(format!(
                    "{} ended with {status}:\n{}",
                    self.name,
                    self.printed()
                ));
            }
            let open = self.listening_ports();
            let missing: Vec<u16> = ports
                .iter()
                .copied()
                .filter(|port| !open.contains(port))
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{} does not listen on {missing:?} after {patience:?}:\n{}",
                    self.name,
                    self.printed()
                ));
            }
            thread::sleep(GLANCE);
        }
    }

    /// Asks the program to end (SIGTERM) and waits for it.
    ///
    /// # Errors
    /// It was still there when patience ended; then it is killed.
    pub fn stop(mut self, patience: Duration) -> Result<ExitStatus, Failure> {
        let pid = self.pid();
        kill_process(pid, Signal::TERM)
            .map_err(|error| format!("{}: SIGTERM: {error}", self.name))?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Ok(status);
            }
            thread::sleep(GLANCE);
        }
        Err(format!(
            "{} is still there {patience:?} after SIGTERM:\n{}",
            self.name,
            self.printed()
        ))
    }

    /// All that the program printed so far.
    pub fn printed(&self) -> String {
        fs::read(&self.output).map_or_else(
            |error| format!("({}: {error})", self.output.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The namespace's listening TCP ports, read from the kernel's table: no connection disturbs the program.
    fn listening_ports(&self) -> Vec<u16> {
        let pid = self.child.id();
        ["tcp", "tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok())
            .flat_map(|text| {
                text.lines()
                    .skip(1)
                    .filter_map(listening_port)
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Errors mean that it is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The local port of one line of `/proc/net/tcp`, if the socket listens.
fn listening_port(line: &str) -> Option<u16> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let (_, port) = local.rsplit_once(':')?;
    (state == LISTENING)
        .then(|| u16::from_str_radix(port, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::listening_port;

    #[test]
    fn only_listening_sockets_have_a_listening_port() {
        let listening =
            "   0: 00000000:0835 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1";
        let connected =
            "   1: 0100007F:0835 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 0 0 2 1";
        assert_eq!(listening_port(listening), Some(2101));
        assert_eq!(listening_port(connected), None);
        assert_eq!(listening_port("nonsense"), None);
    }
}
