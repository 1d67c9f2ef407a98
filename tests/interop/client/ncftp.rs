//! NcFTP: its three programs for scripts, and the interactive one for what they lack.

use portcullis_netlab::Family;
use portcullis_netlab::server::{PASSWORD, USER};

use super::{Action, Client, Job, Mode, Reason, Run};

pub struct Ncftp;

impl Client for Ncftp {
    fn name(&self) -> &'static str {
        "ncftp"
    }

    fn supports(&self, mode: Mode, family: Family) -> Result<(), Reason> {
        match (mode, family) {
            (_, Family::V6) => Err("NcFTP knows IPv4 only"),
            (Mode::Epsv | Mode::Eprt, Family::V4) => Err("NcFTP knows PASV and PORT only"),
            (Mode::Pasv | Mode::Port, Family::V4) => Ok(()),
        }
    }

    fn run(&self, job: &Job<'_>, action: Action<'_>) -> Result<Run, Reason> {
        let (host, port) = (job.host.to_string(), job.port.to_string());
        let mode = if job.mode.is_passive() { "-F" } else { "-E" };
        let remote = |name: &str| format!("{}/{name}", job.directory);
        let run = |program: &'static str, more: &[&str]| {
            let common = [
                "-d", "stdout", "-u", USER, "-p", PASSWORD, "-P", &port, mode,
            ];
            Run::new(program, common.iter().chain(more).copied())
        };
        // Other commands are sent behind a listing, before QUIT, in the directory of the URL.
        let sending = |commands: &[String]| {
            let mut more: Vec<&str> = commands
                .iter()
                .flat_map(|command| ["-Y", command.as_str()])
                .collect();
            let url = job.url("");
            more.push(&url);
            more.insert(0, "-l");
            run("ncftpls", &more)
        };
        Ok(match action {
            Action::List => run("ncftpls", &["-l", &job.url("")]),
            Action::Get {
                remote: from,
                local,
            } => run("ncftpget", &["-V", "-C", &host, &remote(from), local]),
            Action::Put { local, remote: to } => {
                run("ncftpput", &["-V", "-C", &host, local, &remote(to)])
            }
            Action::Append { local, remote: to } => {
                run("ncftpput", &["-V", "-A", "-C", &host, local, &remote(to)])
            }
            Action::ResumeGet { name } => run("ncftpget", &["-V", "-z", &host, ".", &remote(name)]),
            // With -C it would send the whole file behind what is there already.
            Action::ResumePut { name, .. } => {
                run("ncftpput", &["-V", "-s", "-z", &host, job.directory, name])
            }
            Action::Rename { from, to } => sending(&[format!("RNFR {from}"), format!("RNTO {to}")]),
            Action::Delete { name } => sending(&[format!("DELE {name}")]),
            Action::Mkdir { name } => sending(&[format!("MKD {name}")]),
            Action::Rmdir { name } => sending(&[format!("RMD {name}")]),
            Action::GetMany { directory } => run(
                "ncftpget",
                &["-V", "-R", "-T", &host, ".", &remote(directory)],
            ),
            Action::PutMany { directory } => {
                run("ncftpput", &["-V", "-R", &host, job.directory, directory])
            }
        })
    }

    fn sent_mark(&self) -> &'static str {
        "Cmd: "
    }
}
