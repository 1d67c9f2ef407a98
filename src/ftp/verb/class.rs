//! What kinds of verbs there are.

use super::Verb;
use crate::ftp::foreign::ForeignProtocol;

/// Says which way the bytes of a transfer flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferDirection {
    /// From the upstream to the client: RETR, LIST, NLST, MLSD.
    Download,
    /// From the client to the upstream: STOR, STOU, APPE.
    Upload,
}

impl Verb {
    /// Gives the verb that this one is an older spelling of, else the verb itself: XMKD is MKD.
    #[must_use]
    pub const fn canonical(self) -> Self {
        match self {
            Self::Xmkd => Self::Mkd,
            Self::Xrmd => Self::Rmd,
            Self::Xpwd => Self::Pwd,
            Self::Xcup => Self::Cdup,
            Self::Xcwd => Self::Cwd,
            other => other,
        }
    }

    /// Says which way the bytes flow when this verb begins a transfer; None for all others.
    #[must_use]
    pub const fn direction(self) -> Option<TransferDirection> {
        match self {
            Self::Retr | Self::List | Self::Nlst | Self::Mlsd => Some(TransferDirection::Download),
            Self::Stor | Self::Stou | Self::Appe => Some(TransferDirection::Upload),
            _ => None,
        }
    }

    /// Says whether the verb uses a data connection: RETR, STOR, STOU, APPE, LIST, NLST, MLSD.
    #[must_use]
    pub const fn is_transfer(self) -> bool {
        self.direction().is_some()
    }

    /// Says whether nothing further may be sent to the upstream before this verb's final reply.
    ///
    /// These are the verbs whose reply decides what the next command means: who logs in, how data is represented and
    /// protected, where a data connection goes, and the transfers themselves.
    #[must_use]
    pub const fn is_fence(self) -> bool {
        self.is_transfer()
            || matches!(
                self,
                Self::User
                    | Self::Pass
                    | Self::Acct
                    | Self::Rein
                    | Self::Host
                    | Self::Auth
                    | Self::Pbsz
                    | Self::Prot
                    | Self::Type
                    | Self::Mode
                    | Self::Stru
                    | Self::Pasv
                    | Self::Epsv
                    | Self::Port
                    | Self::Eprt
            )
    }

    /// Says whether the verb would set up data connections in a way that the gateway does not follow: always refused.
    ///
    /// These are P@SW, SPSV, ESTA, ESTP, LPRT, LPSV, and CPSV and SSCN, which swap TLS roles on data connections.
    #[must_use]
    pub const fn is_refused_alias(self) -> bool {
        matches!(
            self,
            Self::PAtSw
                | Self::Spsv
                | Self::Esta
                | Self::Estp
                | Self::Lprt
                | Self::Lpsv
                | Self::Cpsv
                | Self::Sscn
        )
    }

    /// Gives the protocol whose word this is, when it is not FTP.
    #[must_use]
    pub const fn foreign_protocol(self) -> Option<ForeignProtocol> {
        match self {
            Self::Get | Self::Post | Self::Put | Self::Head | Self::Options | Self::Connect => {
                Some(ForeignProtocol::Http)
            }
            Self::Ehlo | Self::Helo => Some(ForeignProtocol::Smtp),
            _ => None,
        }
    }

    /// Says whether the verb's argument is a secret and must not be printed: PASS, ACCT, ADAT.
    #[must_use]
    pub const fn has_secret_argument(self) -> bool {
        matches!(self, Self::Pass | Self::Acct | Self::Adat)
    }
}
