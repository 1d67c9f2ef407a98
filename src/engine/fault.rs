//! Every reply that the gateway makes itself, grouped by whose fault it answers, in one place.
//!
//! Worded for people: what happened and what to do; never an upstream's address. Codes are those of
//! RFC 959, 2428 and 2577.

use super::pinhole::RefusalReason;
use super::tls::TlsFault;
use super::{DialError, Direction};
use crate::ftp::Reply;

/// Faults of the client: what it sent can't be done, or not like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientFault {
    Empty,
    LeadingSpace,
    StrayControl,
    BareLf,
    NotAVerb,
    LineTooLong,
    HiddenVerb,
    NoTls,
    UnknownMechanism,
    NoSecurityLayer,
    SecondAuth,
    AuthAfterUser,
    ClearBehindAuth,
    AuthFirst,
    ProtBeforePbsz,
    ProtClear,
    ProtLevel,
    UnknownProt,
    CccInClear,
    CccInTls,
    ReinInTls,
    LoginInClear,
    DataInClear,
    OtherUser,
    HostContradicted,
    OtherHostInTls,
    DataTls(TlsFault),
    Algs,
    BadArgument,
    HiddenMode,
    Bounce,
    LowPort,
    BadAddress,
    FamilyUnsupported { client_is_ipv6: bool },
    PasvNeedsIpv4,
    EpsvAll,
    NothingNegotiated,
    NobodyDialled,
    UnreachableClient(DialError),
    SessionBytes(Direction),
    LimitedSince,
    Exceeded { direction: Direction, bytes: u64 },
    GuestGone,
    NoStartDirectory,
    SecondLogin,
    UserFirst,
    NoGrantedDirectory,
}

impl ClientFault {
    pub(super) fn code(self) -> u16 {
        self.reply().code().get()
    }

    pub(super) fn reply(self) -> Reply {
        match self {
            ClientFault::Empty => Reply::new(500, "An empty line is no command."),
            ClientFault::LeadingSpace => Reply::new(500, "A command may not begin with a space."),
            ClientFault::StrayControl => Reply::new(
                501,
                "A carriage return or NUL inside a command is not allowed.",
            ),
            ClientFault::BareLf => Reply::new(
                501,
                "Commands end with CR LF; a bare LF is not accepted here.",
            ),
            ClientFault::NotAVerb => Reply::new(500, "That is no FTP command."),
            ClientFault::LineTooLong => Reply::new(500, "The line is too long; closing."),
            ClientFault::HiddenVerb => Reply::new(
                502,
                "This command would set up data behind the gateway's back; use PASV, EPSV, PORT or EPRT.",
            ),
            ClientFault::NoTls => Reply::new(534, "TLS is not offered here."),
            ClientFault::UnknownMechanism => {
                Reply::new(504, "That security mechanism is not known here.")
            }
            ClientFault::NoSecurityLayer => {
                Reply::new(502, "That security command is not available here.")
            }
            ClientFault::SecondAuth => Reply::new(503, "This connection is inside TLS already."),
            ClientFault::AuthAfterUser => Reply::new(
                503,
                "AUTH comes before USER; the name was sent in clear, so connect again.",
            ),
            ClientFault::ClearBehindAuth => Reply::new(
                421,
                "Commands in clear came behind AUTH, perhaps from somebody else; closing.",
            ),
            ClientFault::AuthFirst => {
                Reply::new(503, "Use AUTH first: there is no security layer to set up.")
            }
            ClientFault::ProtBeforePbsz => Reply::new(503, "PBSZ 0 comes before PROT."),
            ClientFault::ProtClear => Reply::new(
                534,
                "Data connections have to be private here; PROT C is refused.",
            ),
            // RFC 4217 section 9: TLS knows no level between clear and private.
            ClientFault::ProtLevel => {
                Reply::new(536, "TLS has no such level of protection; use PROT P.")
            }
            ClientFault::UnknownProt => {
                Reply::new(504, "That level of protection is not known; use PROT P.")
            }
            ClientFault::CccInTls => Reply::new(
                534,
                "The control connection stays inside TLS; CCC is refused here.",
            ),
            ClientFault::ReinInTls => {
                Reply::new(502, "REIN would end TLS; connect again to log in anew.")
            }
            // RFC 959 section 5.4 has 530 for USER and PASS; RFC 4217 section 4 has a server that wants TLS refuse commands.
            ClientFault::LoginInClear => Reply::new(
                530,
                "Logging in needs TLS here: send AUTH TLS first; nothing was passed on.",
            ),
            // RFC 4217 section 10.
            ClientFault::DataInClear => Reply::new(
                521,
                "Data connections have to be private here: send PBSZ 0 and PROT P first.",
            ),
            ClientFault::OtherUser => Reply::new(
                530,
                "The client certificate is not this user's; log in with the name that it stands for.",
            ),
            ClientFault::HostContradicted => Reply::new(
                504,
                "TLS was set up for another host name (SNI); connect again for this one.",
            ),
            ClientFault::OtherHostInTls => {
                Reply::new(421, "TLS names another host (SNI) than HOST did; closing.")
            }
            // RFC 4217 section 10: TLS failed, or what it gave was not acceptable.
            ClientFault::DataTls(why) => {
                Reply::new(522, format!("TLS on the data connection failed: {why}."))
            }
            ClientFault::CccInClear => {
                Reply::new(533, "The control connection is in clear already.")
            }
            ClientFault::Algs => Reply::new(502, "ALGS is not available here."),
            ClientFault::BadArgument => {
                Reply::new(501, "The argument is not one that this command takes.")
            }
            ClientFault::HiddenMode => Reply::new(
                504,
                "Only stream mode (S) and deflate mode (Z) pass this gateway.",
            ),
            ClientFault::Bounce => Reply::new(
                504,
                "Data connections go to the address that you control from, and to no other (RFC 2577).",
            ),
            ClientFault::LowPort => Reply::new(
                504,
                "Data ports below 1024 are refused (RFC 2577); use a higher one.",
            ),
            ClientFault::BadAddress => Reply::new(501, "The address is malformed."),
            ClientFault::FamilyUnsupported {
                client_is_ipv6: true,
            } => Reply::new(522, "Network protocol not supported, use (2)"),
            ClientFault::FamilyUnsupported {
                client_is_ipv6: false,
            } => Reply::new(522, "Network protocol not supported, use (1)"),
            ClientFault::PasvNeedsIpv4 => {
                Reply::new(425, "PASV can't name an IPv6 address; use EPSV.")
            }
            ClientFault::EpsvAll => Reply::new(
                503,
                "After EPSV ALL only EPSV sets up data connections (RFC 2428).",
            ),
            ClientFault::NothingNegotiated => Reply::new(
                425,
                "No data connection was set up; send PASV, EPSV, PORT or EPRT first.",
            ),
            ClientFault::NobodyDialled => Reply::new(
                425,
                "Nobody came to the data port in time; send PASV or EPSV again.",
            ),
            ClientFault::UnreachableClient(why) => Reply::new(
                425,
                format!("Can't reach your data port ({why}); use passive mode."),
            ),
            // RFC 959 section 5.4 has 552 for commands that store, not for those that fetch.
            ClientFault::SessionBytes(Direction::Upload) => Reply::new(
                552,
                "This session has sent and fetched all the bytes that it may; connect again.",
            ),
            ClientFault::SessionBytes(Direction::Download) => Reply::new(
                550,
                "This session has sent and fetched all the bytes that it may; connect again.",
            ),
            ClientFault::LimitedSince => Reply::new(
                425,
                "The rules have changed since the data connection was set up; send PASV, EPSV, PORT or EPRT again.",
            ),
            ClientFault::Exceeded {
                direction: Direction::Upload,
                bytes,
            } => Reply::new(
                552,
                format!(
                    "Cut after {bytes} bytes: no more may be sent; what arrived is incomplete."
                ),
            ),
            ClientFault::Exceeded {
                direction: Direction::Download,
                bytes,
            } => Reply::new(
                426,
                format!(
                    "Cut after {bytes} bytes: no more may be fetched; what arrived is incomplete."
                ),
            ),
            ClientFault::GuestGone => {
                Reply::new(530, "Anonymous login is no longer possible; log in anew.")
            }
            ClientFault::SecondLogin => Reply::new(
                530,
                "Another user logs in on a connection of its own here; connect again.",
            ),
            ClientFault::UserFirst => Reply::new(503, "Send USER first, then PASS."),
            ClientFault::NoStartDirectory => Reply::new(
                421,
                "The directory where anonymous users begin can't be entered; try again later.",
            ),
            ClientFault::NoGrantedDirectory => Reply::new(
                421,
                "The directory where you are to begin can't be entered; try again later.",
            ),
        }
    }
}

/// Faults of the upstream: it is away, or what it said can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpstreamFault {
    Unreachable,
    Gone,
    GoneInTransfer,
    BadAnnouncement,
    ForeignRefused,
    LowPort,
    InWindow,
    NoDataMode,
    DialFailed(DialError),
    NoTls,
    DataTls(TlsFault),
    Truncated,
    NobodyDialled,
    SilentAfterData,
    Silent,
    Violation,
    Unconfirmed,
}

impl UpstreamFault {
    pub(super) fn reply(self) -> Reply {
        match self {
            UpstreamFault::Unreachable => Reply::new(
                421,
                "The FTP server behind this gateway can't be reached; try again later.",
            ),
            UpstreamFault::Gone => Reply::new(
                421,
                "The FTP server behind this gateway closed the connection.",
            ),
            UpstreamFault::GoneInTransfer => Reply::new(
                421,
                "The FTP server closed the connection during the transfer; what arrived may be incomplete.",
            ),
            UpstreamFault::BadAnnouncement => Reply::new(
                425,
                "The server announced no usable data port; try another mode.",
            ),
            UpstreamFault::ForeignRefused => Reply::new(
                425,
                "The server announced a data address that is not its own; this gateway does not go there.",
            ),
            UpstreamFault::LowPort => Reply::new(
                425,
                "The server announced a data port below 1024; this gateway does not go there.",
            ),
            UpstreamFault::InWindow => Reply::new(
                425,
                "The server announced a data port in the gateway's own window, which is shut to it; its administrator has to give it other passive ports.",
            ),
            UpstreamFault::NoDataMode => Reply::new(
                425,
                "The server refused to set up a data connection; try another mode.",
            ),
            UpstreamFault::DialFailed(why) => Reply::new(
                425,
                format!("Can't open a data connection to the server ({why}); try again."),
            ),
            UpstreamFault::NoTls => Reply::new(
                421,
                "The connection to the FTP server can't be secured, so it is not used; closing.",
            ),
            UpstreamFault::DataTls(why) => Reply::new(
                425,
                format!("Can't secure the data connection to the server ({why}); try again."),
            ),
            UpstreamFault::Truncated => Reply::new(
                426,
                "The data ended without the closing alert of TLS; it may be cut off.",
            ),
            UpstreamFault::NobodyDialled => Reply::new(
                425,
                "The server did not open its data connection in time; try again.",
            ),
            UpstreamFault::SilentAfterData => Reply::new(
                426,
                "The server did not confirm the transfer; what arrived may be incomplete.",
            ),
            UpstreamFault::Silent => {
                Reply::new(421, "The FTP server did not answer in time; closing.")
            }
            UpstreamFault::Violation => {
                Reply::new(421, "The FTP server broke the protocol; closing.")
            }
            UpstreamFault::Unconfirmed => Reply::new(
                426,
                "The data connection broke; the transfer is incomplete.",
            ),
        }
    }
}

/// Faults of our own, and ends that we decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnFault {
    NoPinhole(RefusalReason),
    JournalDown,
    JournalDownAtStart,
    LoginTimeout,
    IdleTimeout,
    CommandTimeout,
    Shutdown,
    Killed,
    TooManyTries,
    TooManyOfUser,
    Banned,
    TooManyOfAddress,
    CannotAsk,
}

impl OwnFault {
    pub(super) fn reply(self) -> Reply {
        match self {
            OwnFault::NoPinhole(RefusalReason::NoPort { in_use }) => Reply::new(
                425,
                format!("No data port free for your address ({in_use} in use); try again."),
            ),
            OwnFault::NoPinhole(RefusalReason::Kernel | RefusalReason::Resources) => Reply::new(
                425,
                "No data port can be opened at the moment; try again later.",
            ),
            OwnFault::JournalDown => Reply::new(
                451,
                "The gateway can't write its journal, so it opens no data connection; try again later.",
            ),
            OwnFault::JournalDownAtStart => Reply::new(
                421,
                "The gateway can't write its journal, so it takes no sessions; try again later.",
            ),
            OwnFault::CannotAsk => Reply::new(
                451,
                "Whoever decides about this can't be asked; try again later.",
            ),
            OwnFault::LoginTimeout => Reply::new(421, "No login in time; closing."),
            OwnFault::IdleTimeout => Reply::new(421, "Idle for too long; closing."),
            OwnFault::CommandTimeout => {
                Reply::new(421, "The command was not finished in time; closing.")
            }
            OwnFault::Shutdown => {
                Reply::new(421, "The gateway is shutting down; try again in a moment.")
            }
            OwnFault::TooManyTries => Reply::new(421, "Too many refused logins; closing."),
            OwnFault::TooManyOfUser => Reply::new(
                421,
                "Too many sessions of this user; close one and try again.",
            ),
            OwnFault::TooManyOfAddress => Reply::new(
                421,
                "Too many sessions from your address; close one and try again.",
            ),
            OwnFault::Banned => Reply::new(
                421,
                "Your address is banned for a time (too many refused logins, or an operator's order); try again later.",
            ),
            OwnFault::Killed => Reply::new(421, "The session was ended by the administrator."),
        }
    }
}

#[cfg(test)]
mod tests;
