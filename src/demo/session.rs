//! One client of the demo server: login, the dialogue, and the state that commands leave behind.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use tokio::time::timeout;

use super::control::{Control, Heard};
use super::listing::Wanted;
use super::path::TreePath;
use super::server::Limits;
use super::store::Store;
use super::transfer::Plan;

const LOGIN_TRIES: u32 = 5;

/// Commands that need no login.
const OPEN_TO_ALL: [&str; 8] = [
    "USER", "PASS", "QUIT", "NOOP", "SYST", "FEAT", "OPTS", "HELP",
];

/// All that is understood, as HELP lists it.
const KNOWN: [&str; 6] = [
    "USER PASS QUIT NOOP SYST FEAT OPTS HELP STAT SITE ALLO",
    "TYPE MODE STRU PWD  CWD  CDUP MKD  RMD  DELE RNFR RNTO",
    "PASV EPSV PORT EPRT ABOR REST RETR STOR APPE STOU",
    "LIST NLST MLSD MLST SIZE MDTM",
    "XPWD XCWD XCUP XMKD XRMD",
    "ACCT REIN SMNT AUTH PBSZ PROT (not here)",
];

/// Who the client says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    Unknown,
    Anonymous,
    Demo,
    Done,
}

/// What a command leaves to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Command,
    Goodbye,
}

/// How work beside the dialogue ended.
#[derive(Debug)]
pub(super) enum Attended<T> {
    /// It came to its end.
    Done(T),
    /// The client sent ABOR first.
    Aborted,
}

/// A client's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) control: Control,
    pub(super) store: Arc<Store>,
    pub(super) limits: Limits,
    pub(super) directory: TreePath,
    pub(super) plan: Option<Plan>,
    pub(super) only_epsv: bool,
    pub(super) ascii: bool,
    pub(super) restart: usize,
    pub(super) renaming: Option<TreePath>,
    pub(super) facts: Wanted,
    login: Login,
    tries: u32,
    waiting: Option<Vec<u8>>,
}

impl Session {
    pub(super) fn new(control: Control, store: Arc<Store>, limits: Limits) -> Self {
        Self {
            control,
            store,
            limits,
            directory: TreePath::root(),
            plan: None,
            only_epsv: false,
            ascii: true,
            restart: 0,
            renaming: None,
            facts: Wanted::default(),
            login: Login::Unknown,
            tries: 0,
            waiting: None,
        }
    }

    /// Talks with the client until one of the two has had enough.
    pub(super) async fn run(mut self) -> io::Result<()> {
        self.converse().await?;
        self.control.hang_up().await
    }

    async fn converse(&mut self) -> io::Result<()> {
        self.reply(220, "Portcullis demo server; log in as anonymous.")
            .await?;
        loop {
            let line = match self.waiting.take() {
                Some(line) => line,
                None => match timeout(self.limits.idle, self.control.hear()).await {
                    Err(_) => return self.reply(421, "Nothing came for too long; bye.").await,
                    Ok(heard) => match heard? {
                        Heard::Line(line) => line,
                        Heard::TooLong => {
                            return self.reply(500, "That line is too long; bye.").await;
                        }
                        Heard::Closed => return Ok(()),
                    },
                },
            };
            match self.obey(&line).await? {
                Next::Command => {}
                Next::Goodbye => return Ok(()),
            }
        }
    }

    pub(super) async fn reply(&mut self, code: u16, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.control.reply(code, text).await
    }

    /// Does work while the client may still say NOOP, STAT or ABOR; its next other line waits until the work is done.
    pub(super) async fn attend<F: Future>(&mut self, work: F) -> io::Result<Attended<F::Output>> {
        let mut work = pin!(work);
        loop {
            if self.waiting.is_some() {
                return Ok(Attended::Done(work.await));
            }
            let heard = tokio::select! {
                done = &mut work => return Ok(Attended::Done(done)),
                heard = self.control.hear() => heard?,
            };
            let line = match heard {
                Heard::Line(line) => line,
                Heard::TooLong => {
                    self.reply(500, "That line is too long; bye.").await?;
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Heard::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
            };
            match line.to_ascii_uppercase().as_slice() {
                b"ABOR" => return Ok(Attended::Aborted),
                b"NOOP" => self.reply(200, "Still at it.").await?,
                b"STAT" => self.reply(211, "A transfer is running.").await?,
                _ => self.waiting = Some(line),
            }
        }
    }

    async fn obey(&mut self, line: &[u8]) -> io::Result<Next> {
        let renaming = self.renaming.take();
        let (verb, argument) = match line.iter().position(|byte| *byte == b' ') {
            Some(space) => {
                let (verb, rest) = line.split_at(space);
                (verb, rest.get(1..).unwrap_or_default())
            }
            None => (line, &[][..]),
        };
        let verb = String::from_utf8_lossy(verb).to_ascii_uppercase();
        if argument.iter().any(|byte| matches!(byte, b'\r' | 0)) {
            self.reply(501, "No CR and no NUL inside a line, please.")
                .await?;
            return Ok(Next::Command);
        }
        if self.login != Login::Done && !OPEN_TO_ALL.contains(&verb.as_str()) {
            self.reply(530, "Please log in with USER and PASS.").await?;
            return Ok(Next::Command);
        }
        // Numbers, addresses and options are ASCII; only names are more.
        let text = String::from_utf8_lossy(argument);
        let text = text.trim();
        match verb.as_str() {
            "USER" => self.user(text).await?,
            "PASS" => return self.pass(argument).await,
            "QUIT" => {
                self.reply(221, "Goodbye.").await?;
                return Ok(Next::Goodbye);
            }
            "NOOP" => self.reply(200, "Ready.").await?,
            "SYST" => self.reply(215, "UNIX Type: L8").await?,
            "FEAT" => self.features().await?,
            "OPTS" => self.options(text).await?,
            "HELP" => {
                let (first, last) = ("These are understood:", "That is all.");
                self.control.reply_lines(214, first, KNOWN, last).await?;
            }
            "TYPE" => self.set_type(text).await?,
            "MODE" => self.only("MODE", text, "S").await?,
            "STRU" => self.only("STRU", text, "F").await?,
            "ALLO" => self.reply(202, "No room need be allotted.").await?,
            "SITE" => self.reply(502, "No SITE commands here.").await?,
            "ABOR" => self.reply(226, "No transfer is running.").await?,
            "PASV" => self.passive().await?,
            "EPSV" => self.extended_passive(text).await?,
            "PORT" => self.port(text).await?,
            "EPRT" => self.extended_port(text).await?,
            "REST" => self.restart_at(text).await?,
            "PWD" | "XPWD" => self.tell_directory().await?,
            "CWD" | "XCWD" => self.change_directory(argument).await?,
            "CDUP" | "XCUP" => self.change_directory(b"..").await?,
            "MKD" | "XMKD" => self.make_directory(argument).await?,
            "RMD" | "XRMD" => self.remove_directory(argument).await?,
            "DELE" => self.delete(argument).await?,
            "RNFR" => self.rename_from(argument).await?,
            "RNTO" => self.rename_to(renaming, argument).await?,
            "SIZE" => self.size(argument).await?,
            "MDTM" => self.modified(argument).await?,
            "MLST" => self.tell_facts(argument).await?,
            "STAT" => self.status(argument).await?,
            "LIST" => self.list(argument).await?,
            "NLST" => self.list_names(argument).await?,
            "MLSD" => self.list_facts(argument).await?,
            "RETR" => self.retrieve(argument).await?,
            "STOR" => self.store(argument).await?,
            "APPE" => self.append(argument).await?,
            "STOU" => self.store_unique().await?,
            "ACCT" | "REIN" | "SMNT" | "AUTH" | "PBSZ" | "PROT" => {
                self.reply(502, "Not in this small server.").await?;
            }
            _ => self.reply(500, "No such command; see HELP.").await?,
        }
        Ok(Next::Command)
    }

    async fn user(&mut self, name: &str) -> io::Result<()> {
        if self.login == Login::Done {
            return self.reply(503, "You are logged in already.").await;
        }
        let lower = name.to_ascii_lowercase();
        if matches!(lower.as_str(), "anonymous" | "ftp") {
            self.login = Login::Anonymous;
            return self.reply(331, "Any password will do.").await;
        }
        self.login = if name == "demo" {
            Login::Demo
        } else {
            Login::Unknown
        };
        self.reply(331, "Password, please.").await
    }

    async fn pass(&mut self, password: &[u8]) -> io::Result<Next> {
        match self.login {
            Login::Done => {
                self.reply(503, "You are logged in already.").await?;
                return Ok(Next::Command);
            }
            Login::Anonymous => self.login = Login::Done,
            Login::Demo if password == b"demo" => self.login = Login::Done,
            Login::Demo | Login::Unknown => {
                self.login = Login::Unknown;
                self.tries += 1;
            }
        }
        if self.login == Login::Done {
            self.reply(230, "You are in; all files are in memory.")
                .await?;
        } else if self.tries < LOGIN_TRIES {
            let text = "Wrong; try anonymous, or demo with the password demo.";
            self.reply(530, text).await?;
        } else {
            self.reply(421, "Too many wrong passwords; bye.").await?;
            return Ok(Next::Goodbye);
        }
        Ok(Next::Command)
    }

    async fn features(&mut self) -> io::Result<()> {
        let mlst = format!("MLST {}", self.facts.feature());
        let lines = [
            "EPRT",
            "EPSV",
            "MDTM",
            mlst.as_str(),
            "REST STREAM",
            "SIZE",
            "TVFS",
            "UTF8",
        ];
        self.control
            .reply_lines(211, "Features:", lines, "End")
            .await
    }

    async fn options(&mut self, text: &str) -> io::Result<()> {
        let (name, value) = text.split_once(' ').unwrap_or((text, ""));
        match (name.to_ascii_uppercase().as_str(), value) {
            ("UTF8", value) if value.eq_ignore_ascii_case("ON") => {
                self.reply(200, "UTF-8 is always on.").await
            }
            ("MLST", value) => {
                self.facts = Wanted::read(value);
                let facts = format!("MLST OPTS {}", self.facts.written());
                self.reply(200, facts.trim_end()).await
            }
            _ => self.reply(501, "No such option.").await,
        }
    }

    async fn set_type(&mut self, text: &str) -> io::Result<()> {
        let ascii = match text.to_ascii_uppercase().as_str() {
            "A" | "A N" => true,
            "I" | "L 8" => false,
            _ => return self.reply(504, "The types here are A, I and L 8.").await,
        };
        self.ascii = ascii;
        let name = if ascii { "ASCII" } else { "binary" };
        self.reply(200, format!("The type is {name}.")).await
    }

    async fn only(&mut self, verb: &str, text: &str, value: &str) -> io::Result<()> {
        if text.eq_ignore_ascii_case(value) {
            self.reply(200, "That is how it is here.").await
        } else {
            self.reply(504, format!("Only {verb} {value} here.")).await
        }
    }

    async fn restart_at(&mut self, text: &str) -> io::Result<()> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let Some(offset) = digits.then(|| text.parse().ok()).flatten() else {
            return self.reply(501, "REST wants a number of bytes.").await;
        };
        if self.ascii && offset != 0 {
            return self.reply(504, "REST needs TYPE I.").await;
        }
        self.restart = offset;
        self.reply(350, format!("The next transfer begins at {offset}."))
            .await
    }
}
