//! Programs of the machine: whether they are there, and one run of one of them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Failure;

/// Where programs are looked for, the distribution's own first: `PATH` may lead to others (a Python without its packages).
const SYSTEM_DIRECTORIES: [&str; 6] = [
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];

/// Finds a program by name in the system's directories.
///
/// # Errors
/// Says which program is missing and how it comes to the machine.
pub fn find(name: &str) -> Result<PathBuf, Failure> {
    SYSTEM_DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            format!("the program `{name}` is missing: `scripts/test` installs what the tests need")
        })
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// The command line and all that it printed, when it can't be started or does not exit with 0.
pub fn run<I, S>(program: &str, arguments: I) -> Result<String, Failure>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let path = find(program)?;
    finish(Command::new(path).args(arguments))
}

/// Runs a prepared command to its end, without input, and returns its standard output.
///
/// # Errors
/// The command line and all that it printed, when it can't be started or does not exit with 0.
pub fn finish(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    text_of(command, &output)
}

fn text_of(command: &Command, output: &Output) -> Result<String, Failure> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{command:?} ended with {}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}
