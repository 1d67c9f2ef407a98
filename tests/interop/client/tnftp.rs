//! tnftp: the BSD client, fed with commands on its standard input.

use portcullis_netlab::Family;
use portcullis_netlab::server::{PASSWORD, USER};

use super::{Action, Client, Job, Mode, Reason, Run};

pub struct Tnftp;

impl Client for Tnftp {
    fn name(&self) -> &'static str {
        "tnftp"
    }

    fn supports(&self, _mode: Mode, _family: Family) -> Result<(), Reason> {
        Ok(())
    }

    fn run(&self, job: &Job<'_>, action: Action<'_>) -> Result<Run, Reason> {
        let action = match action {
            Action::List => "dir".to_owned(),
            Action::Get { remote, local } => format!("get \"{remote}\" \"{local}\""),
            Action::Put { local, remote } => format!("put \"{local}\" \"{remote}\""),
            Action::Append { local, remote } => format!("append {local} {remote}"),
            Action::ResumeGet { name } => format!("reget {name}"),
            Action::ResumePut { name, held } => format!("restart {held}\nput {name}"),
            Action::Rename { from, to } => format!("rename {from} {to}"),
            Action::Delete { name } => format!("delete {name}"),
            Action::Mkdir { name } => format!("mkdir {name}"),
            Action::Rmdir { name } => format!("rmdir {name}"),
            Action::GetMany { directory } => {
                // Not `mget *`: Pure-FTPd since 1.0.48 can't answer NLST with a pattern.
                let each = (0..200).map(|number| {
                    format!(
                        "get file-{number:03}
"
                    )
                });
                format!(
                    "cd {directory}
!mkdir {directory}
lcd {directory}
{}",
                    each.collect::<String>()
                )
            }
            Action::PutMany { directory } => format!("cd {directory}\nlcd {directory}\nmput *"),
        };
        // Both toggles begin as "on"; over IPv6 there is nothing but EPSV and EPRT.
        let toggle = match job.mode {
            Mode::Epsv | Mode::Eprt => "",
            Mode::Pasv | Mode::Port => "epsv4\n",
        };
        let mode = if job.mode.is_passive() { "-p" } else { "-A" };
        let mut run = Run::new("tnftp", [mode, "-n", "-v", "-d", "-i"]);
        run.input = format!(
            "{toggle}open {} {}\nuser {USER} {PASSWORD}\nbinary\ncd {}\n{action}\nbye\n",
            job.host, job.port, job.directory
        );
        Ok(run)
    }

    fn sent_mark(&self) -> &'static str {
        "---> "
    }
}
