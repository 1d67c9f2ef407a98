//! wget: downloads and listings.

use portcullis_netlab::Family;
use portcullis_netlab::server::{PASSWORD, USER};

use super::{Action, Client, Job, Mode, Reason, Run};

pub struct Wget;

const NO_CHANGES: Reason = "wget only reads";

impl Client for Wget {
    fn name(&self) -> &'static str {
        "wget"
    }

    fn supports(&self, mode: Mode, family: Family) -> Result<(), Reason> {
        match (mode, family) {
            (Mode::Epsv, Family::V4) => Err("wget sends EPSV over IPv6 only"),
            (Mode::Eprt, Family::V4) => Err("wget sends EPRT over IPv6 only"),
            (Mode::Pasv | Mode::Port, Family::V4) | (_, Family::V6) => Ok(()),
        }
    }

    fn run(&self, job: &Job<'_>, action: Action<'_>) -> Result<Run, Reason> {
        let user = format!("--user={USER}");
        let password = format!("--password={PASSWORD}");
        let common = [
            "--no-config",
            "-d",
            "--tries=1",
            "--timeout=30",
            "--no-proxy",
            &user,
            &password,
        ];
        let mode: &[&str] = if job.mode.is_passive() {
            &[]
        } else {
            &["--no-passive-ftp"]
        };
        let depth;
        let url;
        let more: Vec<&str> = match action {
            Action::List => {
                url = job.url("");
                vec!["-O", "-", &url]
            }
            Action::Get { remote, local } => {
                url = job.url(remote);
                vec!["-O", local, &url]
            }
            Action::ResumeGet { name } => {
                url = job.url(name);
                vec!["-c", &url]
            }
            Action::GetMany { directory } => {
                url = job.url(&format!("{directory}/"));
                depth = format!("--cut-dirs={}", job.directory.split('/').count());
                vec!["-r", "-np", "-nH", &depth, &url]
            }
            Action::Put { .. }
            | Action::Append { .. }
            | Action::ResumePut { .. }
            | Action::Rename { .. }
            | Action::Delete { .. }
            | Action::Mkdir { .. }
            | Action::Rmdir { .. }
            | Action::PutMany { .. } => return Err(NO_CHANGES),
        };
        Ok(Run::new(
            "wget",
            common.iter().chain(mode).copied().chain(more),
        ))
    }

    fn sent_mark(&self) -> &'static str {
        "--> "
    }
}
