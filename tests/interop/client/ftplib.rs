//! Python's ftplib, by a small program of ours.

use portcullis_netlab::Family;
use portcullis_netlab::server::{PASSWORD, USER};

use super::{Action, Client, Job, Mode, Reason, Run};

pub struct Ftplib;

const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/interop/client/ftplib_client.py"
);

impl Client for Ftplib {
    fn name(&self) -> &'static str {
        "ftplib"
    }

    fn supports(&self, _mode: Mode, _family: Family) -> Result<(), Reason> {
        Ok(())
    }

    fn run(&self, job: &Job<'_>, action: Action<'_>) -> Result<Run, Reason> {
        let held_text;
        let action: Vec<&str> = match action {
            Action::List => vec!["list"],
            Action::Get { remote, local } => vec!["get", remote, local],
            Action::Put { local, remote } => vec!["put", local, remote],
            Action::Append { local, remote } => vec!["append", local, remote],
            Action::ResumeGet { name } => vec!["resume_get", name, name],
            Action::ResumePut { name, held } => {
                held_text = held.to_string();
                vec!["resume_put", name, name, &held_text]
            }
            Action::Rename { from, to } => vec!["rename", from, to],
            Action::Delete { name } => vec!["delete", name],
            Action::Mkdir { name } => vec!["mkdir", name],
            Action::Rmdir { name } => vec!["rmdir", name],
            Action::GetMany { directory } => vec!["get_many", directory],
            Action::PutMany { directory } => vec!["put_many", directory],
        };
        let (host, port) = (job.host.to_string(), job.port.to_string());
        let common = [
            PROGRAM,
            &host,
            &port,
            USER,
            PASSWORD,
            job.mode.verb(),
            job.directory,
        ];
        Ok(Run::new("python3", common.into_iter().chain(action)))
    }

    fn sent_mark(&self) -> &'static str {
        "*cmd* '"
    }
}
