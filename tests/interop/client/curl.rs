//! curl: one invocation per action; several URLs of one invocation share a session.

use portcullis_netlab::Family;
use portcullis_netlab::server::{PASSWORD, USER};

use super::{Action, Client, Job, Mode, Reason, Run};

pub struct Curl;

impl Client for Curl {
    fn name(&self) -> &'static str {
        "curl"
    }

    fn supports(&self, _mode: Mode, _family: Family) -> Result<(), Reason> {
        Ok(())
    }

    fn run(&self, job: &Job<'_>, action: Action<'_>) -> Result<Run, Reason> {
        let mut arguments = vec![
            "-q".to_owned(),
            "-sSv".to_owned(),
            "--user".to_owned(),
            format!("{USER}:{PASSWORD}"),
        ];
        let mode: &[&str] = match job.mode {
            Mode::Epsv => &[],
            Mode::Pasv => &["--disable-epsv"],
            Mode::Port => &["--ftp-port", "-", "--disable-eprt"],
            Mode::Eprt => &["--ftp-port", "-"],
        };
        arguments.extend(mode.iter().map(|argument| (*argument).to_owned()));
        let mut add =
            |more: &[&str]| arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        // What follows "-" is sent after the listing, in the directory of the URL.
        match action {
            Action::List => add(&[&job.url("")]),
            Action::Get { remote, local } => add(&[&job.url(remote), "-o", local]),
            Action::Put { local, remote } => add(&["-T", local, &job.url(remote)]),
            Action::Append { local, remote } => add(&["--append", "-T", local, &job.url(remote)]),
            Action::ResumeGet { name } => add(&["-C", "-", &job.url(name), "-o", name]),
            Action::ResumePut { name, .. } => add(&["-C", "-", "-T", name, &job.url(name)]),
            Action::Rename { from, to } => {
                let (from, to) = (format!("-RNFR {from}"), format!("-RNTO {to}"));
                add(&["-Q", &from, "-Q", &to, &job.url("")]);
            }
            Action::Delete { name } => add(&["-Q", &format!("-DELE {}", name), &job.url("")]),
            Action::Mkdir { name } => add(&["-Q", &format!("-MKD {}", name), &job.url("")]),
            Action::Rmdir { name } => add(&["-Q", &format!("-RMD {}", name), &job.url("")]),
            Action::GetMany { directory } => {
                let names = format!("{}[000-199]", job.url(&format!("{directory}/file-")));
                add(&[
                    "--create-dirs",
                    &names,
                    "-o",
                    &format!("{directory}/file-#1"),
                ]);
            }
            Action::PutMany { directory } => {
                add(&[
                    "-T",
                    &format!("{directory}/file-[000-199]"),
                    &job.url(&format!("{directory}/")),
                ]);
            }
        }
        Ok(Run::new("curl", arguments))
    }

    fn sent_mark(&self) -> &'static str {
        "> "
    }
}
