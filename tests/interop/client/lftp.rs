//! lftp: a script of commands in one session.

use portcullis_netlab::Family;
use portcullis_netlab::server::{PASSWORD, USER};

use super::{Action, Client, Job, Mode, Reason, Run};

pub struct Lftp;

impl Client for Lftp {
    fn name(&self) -> &'static str {
        "lftp"
    }

    fn supports(&self, mode: Mode, family: Family) -> Result<(), Reason> {
        match (mode, family) {
            (Mode::Eprt, Family::V4) => Err("lftp sends EPRT over IPv6 only"),
            (Mode::Epsv | Mode::Pasv | Mode::Port, Family::V4) | (_, Family::V6) => Ok(()),
        }
    }

    fn run(&self, job: &Job<'_>, action: Action<'_>) -> Result<Run, Reason> {
        let action = match action {
            Action::List => "cls -l".to_owned(),
            Action::Get { remote, local } => format!("get \"{remote}\" -o \"{local}\""),
            Action::Put { local, remote } => format!("put \"{local}\" -o \"{remote}\""),
            Action::Append { .. } => {
                return Err("lftp continues files but never appends one to another");
            }
            Action::ResumeGet { name } => format!("get -c {name}"),
            Action::ResumePut { name, .. } => format!("put -c {name}"),
            Action::Rename { from, to } => format!("mv {from} {to}"),
            Action::Delete { name } => format!("rm {name}"),
            Action::Mkdir { name } => format!("mkdir {name}"),
            Action::Rmdir { name } => format!("rmdir {name}"),
            Action::GetMany { directory } => format!("mirror {directory} {directory}"),
            Action::PutMany { directory } => format!("mirror -R {directory} {directory}"),
        };
        let passive = if job.mode.is_passive() { "on" } else { "off" };
        let script = format!(
            "debug 5; set net:max-retries 1; set net:timeout 30; set ftp:ssl-allow no; set cmd:fail-exit yes; \
             set xfer:clobber on; set ftp:passive-mode {passive}; set ftp:prefer-epsv {}; \
             open -u {USER},{PASSWORD} -p {} ftp://{}; cd {}; {action}",
            job.mode == Mode::Epsv,
            job.port,
            job.url_host(),
            job.directory
        );
        Ok(Run::new("lftp", ["--norc", "-c", &script]))
    }

    fn sent_mark(&self) -> &'static str {
        "---> "
    }
}
