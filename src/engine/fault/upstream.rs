//! What a client is told when the upstream is at fault.

use super::super::DialError;
use super::super::tls::TlsFault;
use crate::ftp::Reply;

/// Faults of the upstream: it is away, or what it said can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum UpstreamFault {
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
    pub(in super::super) fn reply(self) -> Reply {
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
