//! The stable words by which records say how and why.

use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use crate::policy::Origin;

/// How a data connection's bytes were carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Carried {
    /// By this process.
    Relayed,
    /// By the kernel: one leg awaits, the other dials, and the firewall joins them.
    Forwarded,
}

/// Why the engine itself refused a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// An alias by which some servers set up data behind a firewall's back.
    HiddenVerb,
    /// A security command that is not offered here, or not at this point.
    Security,
    /// A login or a transfer in clear where TLS is required.
    TlsRequired,
    /// A user name that is not the client certificate's.
    CertificateUser,
    /// A host name that is not the one that TLS was set up for.
    ServerName,
    /// An argument that is malformed.
    Malformed,
    /// A bare LF, a bare CR or a NUL inside the line.
    StrayControl,
    /// A transfer mode that would hide the data.
    Mode,
    /// A data command after EPSV ALL (RFC 2428 section 4).
    EpsvAll,
    /// A transfer command without a negotiated data connection.
    NothingNegotiated,
    /// The address family or form can't be used on this control connection.
    Family,
    /// The bytes that a rule grants the session are used up.
    SessionBytes,
    /// A rule limits the transfer now, and did not when its data connection was set up.
    LimitedSince,
    /// The account that anonymous users had is gone from the configuration.
    GuestGone,
    /// USER in a session that is logged in, where rules judge names or somebody is asked about logins.
    SecondLogin,
    /// PASS without USER, where rules judge names.
    NoUser,
}

/// Why a question has no answer that could be used; each of them is a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AskFault {
    /// None came in time.
    TimedOut,
    /// Too many questions were under way.
    Busy,
    /// What came is no answer to it.
    Garbage,
    /// The question or the answer is too long.
    TooLong,
    /// The program ended with an exit status other than 0, or by a signal.
    ExitStatus,
    /// The program can't be started, or nobody listens at the socket.
    Unreachable,
    /// The answer names an upstream or a password file that it must not, or the rules do not name the program.
    NotPermitted,
}

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Violation {
    /// A line longer than the limit.
    LineTooLong,
    /// A reply with more bytes or lines than the limit.
    ReplyTooLong,
    /// A line that is no reply where only replies may come.
    NotAReply,
    /// A reply that nothing had asked for.
    UnaskedReply,
    /// A line from the client that looks like a server's reply.
    ReplyFromClient,
    /// A surplus reply after ABOR, dropped.
    SurplusReply,
    /// A reply that was missing after ABOR, made up for.
    MissingReply,
    /// Bytes in clear where TLS was due: behind AUTH, or behind the 234 to it.
    ClearBehindAuth,
    /// Payload against the direction of the transfer; dropped where this process carried it.
    WrongDirection,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// QUIT, answered.
    Quit,
    /// The client hung up.
    ClientClosed,
    /// The upstream hung up, or said 421.
    UpstreamClosed,
    /// The upstream could not be reached.
    UpstreamUnreachable,
    /// No login in time.
    LoginTimeout,
    /// Nothing happened for too long.
    IdleTimeout,
    /// A line was begun and not ended in time.
    CommandTimeout,
    /// The upstream owed a reply for too long.
    ReplyTimeout,
    /// A peer took no bytes for too long.
    SendStalled,
    /// A peer broke the protocol.
    Violation,
    /// A client spoke another protocol.
    ForeignProtocol,
    /// A control connection that was to be in TLS is not.
    TlsFailed,
    /// A rule closed it.
    RuleClosed,
    /// As many logins were refused as the config allows.
    TooManyTries,
    /// The user has as many sessions as the config allows.
    TooManyOfUser,
    /// The client's address was banned.
    Banned,
    /// The client's address is at a limit, and this was no probe.
    NoProbe,
    /// The server refused the start directory of anonymous users.
    StartRefused,
    /// The journal could not be written.
    RecordRefused,
    /// An operator ended it.
    Killed,
    /// The gateway stopped.
    Shutdown,
}

/// Why an address is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BanReason {
    /// Too many of its logins were refused.
    Guessing,
    /// An operator ordered it.
    Operator,
}

/// Why a ban is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnbanReason {
    /// Its time is over.
    Expired,
    /// An operator lifted it.
    Operator,
    /// A new config never bans this address.
    Config,
    /// More addresses were banned than are remembered, and this one was the oldest.
    Replaced,
}

/// The rule that a record names: by its name, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling(pub Arc<Origin>);

impl Serialize for Ruling {
    /// Writes the fields `rule`, `file` and `line`; the default verdict stands nowhere.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Ruling", 3)?;
        fields.serialize_field("rule", &*self.0.name)?;
        if self.0.line > 0 {
            fields.serialize_field("file", &*self.0.file)?;
            fields.serialize_field("line", &self.0.line)?;
        }
        fields.end()
    }
}
