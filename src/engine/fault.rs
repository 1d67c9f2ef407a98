//! Every reply that the gateway makes itself, grouped by whose fault it answers, in one place.
//!
//! Worded for people: what happened and what to do; never an upstream's address. Codes are those of
//! RFC 959, 2428 and 2577.

use super::DialError;
use super::pinhole::RefusalReason;
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
    ProtBeforePbsz,
    CccInClear,
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
}

impl ClientFault {
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
            ClientFault::ProtBeforePbsz => {
                Reply::new(503, "Use AUTH first: there is no security layer to set up.")
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
    NoDataMode,
    DialFailed(DialError),
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
            UpstreamFault::NoDataMode => Reply::new(
                425,
                "The server refused to set up a data connection; try another mode.",
            ),
            UpstreamFault::DialFailed(why) => Reply::new(
                425,
                format!("Can't open a data connection to the server ({why}); try again."),
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
            OwnFault::LoginTimeout => Reply::new(421, "No login in time; closing."),
            OwnFault::IdleTimeout => Reply::new(421, "Idle for too long; closing."),
            OwnFault::CommandTimeout => {
                Reply::new(421, "The command was not finished in time; closing.")
            }
            OwnFault::Shutdown => {
                Reply::new(421, "The gateway is shutting down; try again in a moment.")
            }
            OwnFault::Killed => Reply::new(421, "The session was ended by the administrator."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Reply> {
        let why = [
            DialError::Refused,
            DialError::Unreachable,
            DialError::TimedOut,
            DialError::LocalAddress,
            DialError::NoSuchName,
            DialError::Busy,
            DialError::Other,
        ];
        let mut replies = vec![
            ClientFault::Empty.reply(),
            ClientFault::LeadingSpace.reply(),
            ClientFault::StrayControl.reply(),
            ClientFault::BareLf.reply(),
            ClientFault::NotAVerb.reply(),
            ClientFault::LineTooLong.reply(),
            ClientFault::HiddenVerb.reply(),
            ClientFault::NoTls.reply(),
            ClientFault::UnknownMechanism.reply(),
            ClientFault::NoSecurityLayer.reply(),
            ClientFault::ProtBeforePbsz.reply(),
            ClientFault::CccInClear.reply(),
            ClientFault::Algs.reply(),
            ClientFault::BadArgument.reply(),
            ClientFault::HiddenMode.reply(),
            ClientFault::Bounce.reply(),
            ClientFault::LowPort.reply(),
            ClientFault::BadAddress.reply(),
            ClientFault::PasvNeedsIpv4.reply(),
            ClientFault::EpsvAll.reply(),
            ClientFault::NothingNegotiated.reply(),
            ClientFault::NobodyDialled.reply(),
            UpstreamFault::Unreachable.reply(),
            UpstreamFault::Gone.reply(),
            UpstreamFault::GoneInTransfer.reply(),
            UpstreamFault::BadAnnouncement.reply(),
            UpstreamFault::ForeignRefused.reply(),
            UpstreamFault::LowPort.reply(),
            UpstreamFault::NoDataMode.reply(),
            UpstreamFault::NobodyDialled.reply(),
            UpstreamFault::SilentAfterData.reply(),
            UpstreamFault::Silent.reply(),
            UpstreamFault::Violation.reply(),
            UpstreamFault::Unconfirmed.reply(),
            OwnFault::NoPinhole(RefusalReason::NoPort { in_use: 16 }).reply(),
            OwnFault::NoPinhole(RefusalReason::Kernel).reply(),
            OwnFault::JournalDown.reply(),
            OwnFault::JournalDownAtStart.reply(),
            OwnFault::LoginTimeout.reply(),
            OwnFault::IdleTimeout.reply(),
            OwnFault::CommandTimeout.reply(),
            OwnFault::Shutdown.reply(),
            OwnFault::Killed.reply(),
        ];
        for why in why {
            replies.push(ClientFault::UnreachableClient(why).reply());
            replies.push(UpstreamFault::DialFailed(why).reply());
        }
        replies
    }

    #[test]
    fn every_reply_of_ours_says_what_happened_in_words() {
        for reply in all() {
            let text = String::from_utf8(reply.final_text().to_vec()).expect("words");
            assert!((400..600).contains(&reply.code().get()), "{text}");
            assert!(
                text.split(' ').count() >= 4 && text.ends_with('.'),
                "{text}"
            );
            // Neither a name of ours from the code nor an address.
            let internal = text.contains("::") || text.contains('_') || text.contains('{');
            assert!(!internal && !text.contains("0x"), "{text}");
        }
    }
}
