//! The clients: how each of them is told to do something, in which mode, and what it can't do.

use std::net::IpAddr;

use portcullis_netlab::Family;

mod curl;
mod ftplib;
mod lftp;
mod ncftp;
mod rclone;
mod tnftp;
mod wget;

/// All clients, in the order of the table.
pub const ALL: [&dyn Client; 7] = [
    &curl::Curl,
    &lftp::Lftp,
    &ncftp::Ncftp,
    &tnftp::Tnftp,
    &wget::Wget,
    &rclone::Rclone,
    &ftplib::Ftplib,
];

/// How the client negotiates data connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    Epsv,
    Pasv,
    Port,
    Eprt,
}

impl Mode {
    pub const ALL: [Self; 4] = [Self::Epsv, Self::Pasv, Self::Port, Self::Eprt];

    /// The verb that a client sends in this mode, which is also the mode's name.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
            Self::Port => "PORT",
            Self::Eprt => "EPRT",
        }
    }

    /// Whether the client awaits nobody and dials.
    pub fn is_passive(self) -> bool {
        match self {
            Self::Epsv | Self::Pasv => true,
            Self::Port | Self::Eprt => false,
        }
    }
}

/// Why something can't be done, as the table says it.
pub type Reason = &'static str;

/// Where the client finds its server, and how it shall negotiate.
pub struct Job<'a> {
    pub host: IpAddr,
    pub port: u16,
    pub mode: Mode,
    /// The directory on the server, in the account's home, in which all happens.
    pub directory: &'a str,
}

impl Job<'_> {
    /// The host as in a URL.
    pub fn url_host(&self) -> String {
        match self.host {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        }
    }

    /// The URL of a file in the directory, without a user.
    pub fn url(&self, name: &str) -> String {
        format!(
            "ftp://{}:{}/{}/{}",
            self.url_host(),
            self.port,
            self.directory,
            percent_encoded(name)
        )
    }
}

/// One thing that a client does. Names are relative to its working directory and to the job's directory.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    List,
    Get {
        remote: &'a str,
        local: &'a str,
    },
    Put {
        local: &'a str,
        remote: &'a str,
    },
    Append {
        local: &'a str,
        remote: &'a str,
    },
    /// The first part of the file is here already.
    ResumeGet {
        name: &'a str,
    },
    /// The first part of the file is on the server already: `held` bytes of it.
    ResumePut {
        name: &'a str,
        held: usize,
    },
    Rename {
        from: &'a str,
        to: &'a str,
    },
    Delete {
        name: &'a str,
    },
    Mkdir {
        name: &'a str,
    },
    Rmdir {
        name: &'a str,
    },
    /// All files of a directory on the server into one of the same name here.
    GetMany {
        directory: &'a str,
    },
    /// All files of a directory here into an existing one of the same name on the server.
    PutMany {
        directory: &'a str,
    },
}

/// One run of a program.
pub struct Run {
    pub program: &'static str,
    pub arguments: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
    /// What it reads from its standard input.
    pub input: String,
}

impl Run {
    pub fn new<I, S>(program: &'static str, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self {
            program,
            arguments,
            environment: Vec::new(),
            input: String::new(),
        }
    }
}

/// A client program.
pub trait Client: Sync {
    fn name(&self) -> &'static str;

    /// Whether the client can be told to use a mode in a family.
    fn supports(&self, mode: Mode, family: Family) -> Result<(), Reason>;

    /// How the client does something.
    fn run(&self, job: &Job<'_>, action: Action<'_>) -> Result<Run, Reason>;

    /// What stands before a command in what the client prints.
    fn sent_mark(&self) -> &'static str;

    /// The verbs that the client says it sent, in order.
    fn sent(&self, printed: &str) -> Vec<String> {
        let commands = printed
            .lines()
            .filter_map(|line| line.split_once(self.sent_mark()));
        commands.map(|(_, command)| verb(command)).collect()
    }
}

fn verb(command: &str) -> String {
    command
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect::<String>()
        .to_ascii_uppercase()
}

/// The modes that do not exist over IPv6, whichever the client.
pub fn exists(mode: Mode, family: Family) -> bool {
    match mode {
        Mode::Epsv | Mode::Eprt => true,
        Mode::Pasv | Mode::Port => family == Family::V4,
    }
}

/// A name as it stands in the path of a URL (RFC 3986).
pub fn percent_encoded(name: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
