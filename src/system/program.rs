//! Other people's programs, as far as they tell something about this machine.

use std::io;
use std::process::{Command, Stdio};

/// Where programs of the system are; `PATH` of an ordinary user often lacks half of it.
const PLACES: &str = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin";

/// Why a program told nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silence {
    /// It is not on this machine.
    Missing,
    /// It failed, in its own words.
    Failed(String),
}

/// Runs a program with `input` and returns what it printed.
///
/// # Errors
/// When it is not there, can't be started, or fails.
pub fn ask(program: &str, arguments: &[&str], input: &str) -> Result<String, Silence> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Silence::Missing,
        _ => Silence::Failed(format!("{program}: {error}")),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", PLACES)
        .env("LC_ALL", "C")
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // What does not read to its end says by its exit code what it thinks of it.
        let _ = io::Write::write_all(&mut stdin, input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let line = words.lines().find(|line| !line.trim().is_empty());
    Err(Silence::Failed(
        line.unwrap_or("no words").trim().to_owned(),
    ))
}
