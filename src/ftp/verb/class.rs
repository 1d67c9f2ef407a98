//! What kinds of verbs there are.

use std::fmt;

use super::Verb;
use crate::ftp::foreign::ForeignProtocol;

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(which: impl Fn(Verb) -> bool) -> String {
        let mut names: Vec<_> = Verb::ALL
            .iter()
            .filter(|verb| which(**verb))
            .map(|verb| verb.name())
            .collect();
        names.sort_unstable();
        names.join(" ")
    }

    #[test]
    fn every_verb_is_recognised_in_any_case() {
        for verb in Verb::ALL {
            assert_eq!(Verb::parse(verb.name().as_bytes()), *verb);
            assert_eq!(
                Verb::parse(verb.name().to_ascii_lowercase().as_bytes()),
                *verb
            );
        }
        assert_eq!(Verb::parse(b"rEtR"), Verb::Retr);
    }

    #[test]
    fn what_is_not_exactly_a_verb_is_unknown() {
        for word in [
            b"".as_slice(),
            b"RET",
            b"RETRS",
            b"RETR ",
            b"\0RETR",
            b"RETR\0",
            b"\0\0\0\0RETR",
            b"UNKNOWN",
            b"XSHA2560",
            b"P`SW",
            b"\xD2ETR",
        ] {
            assert_eq!(Verb::parse(word), Verb::Unknown, "{}", word.escape_ascii());
        }
    }

    #[test]
    fn transfers_have_a_direction_and_others_have_none() {
        assert_eq!(
            chosen(Verb::is_transfer),
            "APPE LIST MLSD NLST RETR STOR STOU"
        );
        assert_eq!(
            chosen(|verb| verb.direction() == Some(TransferDirection::Upload)),
            "APPE STOR STOU"
        );
    }

    #[test]
    fn fences_are_those_that_were_settled() {
        let settled = "ACCT APPE AUTH EPRT EPSV HOST LIST MLSD MODE NLST PASS PASV PBSZ PORT PROT REIN RETR STOR STOU STRU TYPE USER";
        assert_eq!(chosen(Verb::is_fence), settled);
    }

    #[test]
    fn aliases_that_set_up_data_behind_our_back_are_refused() {
        assert_eq!(
            chosen(Verb::is_refused_alias),
            "CPSV ESTA ESTP LPRT LPSV P@SW SPSV SSCN"
        );
        assert!(Verb::parse(b"p@sw").is_refused_alias());
    }

    #[test]
    fn words_of_other_protocols_are_told_from_verbs() {
        let foreign = "CONNECT EHLO GET HEAD HELO OPTIONS POST PUT";
        assert_eq!(chosen(|verb| verb.foreign_protocol().is_some()), foreign);
    }

    #[test]
    fn older_spellings_have_a_canonical_one() {
        let older: Vec<_> = Verb::ALL
            .iter()
            .filter(|verb| verb.canonical() != **verb)
            .map(|verb| verb.name())
            .collect();
        assert_eq!(older, ["XMKD", "XRMD", "XPWD", "XCUP", "XCWD"]);
        assert_eq!(Verb::Xcup.canonical(), Verb::Cdup);
        assert_eq!(Verb::Xmd5.canonical(), Verb::Xmd5);
    }
}
