//! What is asked: the session as it stands, and the moment with what it brings.

use std::net::IpAddr;

use super::path::{Directory, Paths};
use crate::ftp::Verb;
use crate::yaml::choice::choice;

/// Asks whether something may happen.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks, and where.
    pub session: Circumstances<'a>,
    /// What is asked, at which moment.
    pub asked: Asked<'a>,
}

/// Describes a session as it stands when a request is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The listener's name.
    pub listener: Option<&'a str>,
    /// The upstream's name; None until it is chosen.
    pub upstream: Option<&'a str>,
    /// The argument of the last USER, as it was sent; None before it. A USER command brings its own.
    pub user: Option<&'a [u8]>,
    /// Whether the upstream has accepted the login.
    pub logged_in: bool,
    /// Whether the client's control connection is inside TLS.
    pub control_tls: bool,
    /// The name in the client's certificate, if it showed one that was verified.
    pub certificate: Option<&'a str>,
    /// How the upstream writes paths, if that is known.
    pub paths: Option<Paths>,
    /// The working directory, if it is known.
    pub cwd: Option<&'a Directory>,
    /// The time, in microseconds since 1970-01-01T00:00:00Z.
    pub at: Option<i64>,
}

/// Says what is asked: one of four moments in a session's life.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// A client arrived; its upstream has not been dialled for it.
    Connection,
    /// A command arrived; the upstream has not seen it.
    Command(Words<'a>),
    /// A data connection was negotiated by this command; no pinhole is open for it.
    Data {
        /// PASV, EPSV, PORT or EPRT.
        command: Words<'a>,
        /// How it would be carried.
        data: DataFacts,
    },
    /// A transfer is about to begin; the upstream has not seen its command.
    Transfer {
        /// The transfer command.
        command: Words<'a>,
        /// How it would be carried.
        data: DataFacts,
        /// The file's size in bytes, where it is known.
        size: Option<u64>,
    },
}

/// Holds a command's words.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// The verb.
    pub verb: Verb,
    /// The verb as the client spelled it.
    pub spelled: &'a [u8],
    /// The argument's raw bytes.
    pub argument: Option<&'a [u8]>,
}

/// Describes a data connection that was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFacts {
    /// The client's leg.
    pub client: LegMode,
    /// The upstream's leg.
    pub upstream: LegMode,
    /// Whether the client's leg is inside TLS.
    pub tls: bool,
}

choice! {
    /// Says in which mode of FTP a leg was negotiated.
    pub enum LegMode {
        /// The FTP client's side of the leg dials: PASV, EPSV.
        Passive = "passive",
        /// The FTP server's side of the leg dials: PORT, EPRT.
        Active = "active",
    }
}

choice! {
    /// Names the moments at which rules are asked.
    pub enum Moment {
        /// A client arrived.
        Connection = "connection",
        /// A command arrived.
        Command = "command",
        /// A data connection was negotiated.
        Data = "data",
        /// A transfer is about to begin.
        Transfer = "transfer",
    }
}

impl<'a> Asked<'a> {
    /// Names the moment.
    #[must_use]
    pub fn moment(&self) -> Moment {
        match self {
            Asked::Connection => Moment::Connection,
            Asked::Command(_) => Moment::Command,
            Asked::Data { .. } => Moment::Data,
            Asked::Transfer { .. } => Moment::Transfer,
        }
    }

    /// Returns the command that it is about.
    #[must_use]
    pub fn words(&self) -> Option<Words<'a>> {
        match self {
            Asked::Connection => None,
            Asked::Command(words) => Some(*words),
            Asked::Data { command, .. } | Asked::Transfer { command, .. } => Some(*command),
        }
    }
}

impl<'a> Words<'a> {
    /// Takes a line without its end apart.
    #[must_use]
    pub fn of(line: &'a [u8]) -> Words<'a> {
        let end = line.iter().position(|byte| *byte == b' ');
        let (spelled, argument) = match end.and_then(|end| line.split_at_checked(end)) {
            Some((spelled, rest)) => (spelled, rest.get(1..)),
            None => (line, None),
        };
        Words {
            verb: Verb::parse(spelled),
            spelled,
            argument,
        }
    }
}

/// Tells whether a command negotiates a data connection.
pub(super) fn negotiates(verb: Verb) -> bool {
    matches!(verb, Verb::Pasv | Verb::Epsv | Verb::Port | Verb::Eprt)
}

/// Tells whether a command moves a file, and not a listing.
pub(super) fn moves_a_file(verb: Verb) -> bool {
    matches!(verb, Verb::Retr | Verb::Stor | Verb::Stou | Verb::Appe)
}
