//! What a client is told of its own faults.

use super::super::tls::TlsFault;
use super::super::{DialError, Direction};
use crate::ftp::Reply;

/// Faults of the client: what it sent can't be done, or not like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum ClientFault {
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
    InWindow,
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
    pub(in super::super) fn code(self) -> u16 {
        self.reply().code().get()
    }

    pub(in super::super) fn reply(self) -> Reply {
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
            ClientFault::InWindow => Reply::new(
                425,
                "Your data port is in the gateway's own window, which is shut on this machine; use another one, or passive mode.",
            ),
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
