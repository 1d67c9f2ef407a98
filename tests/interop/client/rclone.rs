//! rclone: its FTP backend, configured by the environment.

use portcullis_netlab::Family;
use portcullis_netlab::server::USER;

use super::{Action, Client, Job, Mode, Reason, Run};

pub struct Rclone;

/// The account's password as `rclone obscure` writes it.
const OBSCURED: &str = "u8OZ4-nK-uQ30qbP6hWL92XVdk_Lqltp7o9m";

impl Client for Rclone {
    fn name(&self) -> &'static str {
        "rclone"
    }

    fn supports(&self, mode: Mode, family: Family) -> Result<(), Reason> {
        match (mode, family) {
            (Mode::Port | Mode::Eprt, _) => Err("rclone has no active mode"),
            (Mode::Epsv, _) | (Mode::Pasv, Family::V4) => Ok(()),
            (Mode::Pasv, Family::V6) => Err("PASV has no form for IPv6"),
        }
    }

    fn run(&self, job: &Job<'_>, action: Action<'_>) -> Result<Run, Reason> {
        let remote = |name: &str| format!("gateway:{}/{name}", job.directory);
        let command: Vec<String> = match action {
            Action::List => vec!["lsl".to_owned(), remote("")],
            Action::Get {
                remote: from,
                local,
            } => vec!["copyto".to_owned(), remote(from), local.to_owned()],
            Action::Put { local, remote: to } => {
                vec!["copyto".to_owned(), local.to_owned(), remote(to)]
            }
            Action::Append { .. } => return Err("rclone does not append"),
            Action::ResumeGet { .. } | Action::ResumePut { .. } => {
                return Err("rclone does not resume files");
            }
            Action::Rename { from, to } => vec!["moveto".to_owned(), remote(from), remote(to)],
            Action::Delete { name } => vec!["deletefile".to_owned(), remote(name)],
            Action::Mkdir { name } => vec!["mkdir".to_owned(), remote(name)],
            Action::Rmdir { name } => vec!["rmdir".to_owned(), remote(name)],
            Action::GetMany { directory } => {
                vec!["copy".to_owned(), remote(directory), directory.to_owned()]
            }
            Action::PutMany { directory } => {
                vec!["copy".to_owned(), directory.to_owned(), remote(directory)]
            }
        };
        let common = [
            "--config",
            "",
            "-vv",
            "--dump",
            "bodies",
            "--retries",
            "1",
            "--low-level-retries",
            "1",
        ];
        let one_session = ["--transfers", "1", "--checkers", "1"];
        let mut run = Run::new(
            "rclone",
            common
                .iter()
                .chain(&one_session)
                .map(|argument| (*argument).to_owned())
                .chain(command),
        );
        run.environment = vec![
            ("RCLONE_CONFIG_GATEWAY_TYPE", "ftp".to_owned()),
            ("RCLONE_CONFIG_GATEWAY_HOST", job.url_host()),
            ("RCLONE_CONFIG_GATEWAY_PORT", job.port.to_string()),
            ("RCLONE_CONFIG_GATEWAY_USER", USER.to_owned()),
            ("RCLONE_CONFIG_GATEWAY_PASS", OBSCURED.to_owned()),
            (
                "RCLONE_CONFIG_GATEWAY_DISABLE_EPSV",
                (job.mode == Mode::Pasv).to_string(),
            ),
        ];
        Ok(run)
    }

    fn sent_mark(&self) -> &'static str {
        "FTP Tx: \""
    }
}
