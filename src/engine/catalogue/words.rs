//! The stable words of the journal: what each reason means to whoever reads it.

use super::super::{
    AskFault, BanReason, Check, CloseReason, Refusal, RefusalReason, SessionEnd, TlsFault,
    UnbanReason, Violation,
};

/// One word and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it stands: event and field.
    pub place: &'static str,
    /// The word.
    pub word: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// Defines [`WORDS`] and the way from a value to its word; a variant without one does not compile.
macro_rules! words {
    ($($kind:ident $place:literal { $($variant:ident $word:literal $meaning:literal)+ })+) => {
        /// Every word, by place.
        pub static WORDS: &[Word] = &[
            $($(Word { place: $place, word: $word, meaning: $meaning },)+)+
        ];

        $(impl $kind {
            /// Gives the stable word that stands in the journal.
            pub fn word(self) -> &'static str {
                match self {
                    $($kind::$variant { .. } => $word,)+
                }
            }
        })+
    };
}

words! {
    CloseReason "pinhole.closed: reason" {
        Completed "completed" "Its transfer is over and went well."
        TransferFailed "transfer_failed" "Its transfer is over and failed; `transfer.failed` says how."
        TransferRefused "transfer_refused" "The server or a rule refused the transfer command."
        NeverUsed "never_used" "Nobody dialled before its time to live was over."
        NoCommand "no_command" "The peer dialled, but no transfer command came in time."
        Replaced "replaced" "A later PASV, EPSV, PORT or EPRT took its place."
        Reset "reset" "REIN, AUTH, HOST or PROT reset what was negotiated."
        NegotiationFailed "negotiation_failed" "The other leg could not be negotiated, or could not be told to its peer."
        RecordRefused "record_refused" "The journal did not accept its record."
        OpenRefused "open_refused" "The window or the kernel refused after the record was written."
        Aborted "aborted" "The client sent ABOR."
        SessionClosed "session_closed" "The session ended."
    }
    RefusalReason "pinhole.refused: why" {
        NoPort "no_port" "Every port of the window already awaits this peer, or is held by another program; `in_use` counts the former."
        Kernel "kernel" "The kernel refused; the gateway's log has its reason."
        Resources "resources" "The gateway is out of descriptors or over a bound of its own."
    }
    Refusal "command.refused: why" {
        HiddenVerb "hidden_verb" "An alias by which some servers set up data behind a firewall's back."
        Security "security" "A security command that is not offered here, or not at this point."
        TlsRequired "tls_required" "A login or a transfer in clear where TLS is required."
        CertificateUser "certificate_user" "A user name that is not the client certificate's."
        ServerName "server_name" "A host name that is not the one that TLS was set up for."
        Malformed "malformed" "An argument that is malformed."
        StrayControl "stray_control" "A bare LF, a bare CR or a NUL inside the line."
        Mode "mode" "A transfer mode that would hide the data."
        EpsvAll "epsv_all" "A data command after EPSV ALL (RFC 2428 section 4)."
        NothingNegotiated "nothing_negotiated" "A transfer command without a negotiated data connection."
        SessionBytes "session_bytes" "The bytes that a rule's `session_bytes` grants are used up."
        LimitedSince "limited_since" "A rule limits the transfer now, and did not when its data connection was set up for the kernel."
        GuestGone "guest_gone" "The account that anonymous users had is gone from the configuration."
        SecondLogin "second_login" "USER in a session that is logged in, where rules judge users' names or somebody is asked about logins."
        NoUser "no_user" "PASS without USER, where rules judge users' names."
        Family "family" "The address family or form can't be used on this control connection."
    }
    AskFault "ask.failed: why" {
        TimedOut "timed_out" "No answer came in time."
        Busy "busy" "Too many questions were under way."
        Garbage "garbage" "What came is no answer, or none to such a question."
        TooLong "too_long" "The question or the answer is too long."
        ExitStatus "exit_status" "The program ended with an exit status other than 0, or by a signal; the log has what it said."
        Unreachable "unreachable" "The program can't be started, or nobody listens at the socket."
        NotPermitted "not_permitted" "The answer names an upstream that is not configured or a password file that the rule does not list; or the rules in force do not name the program."
    }
    Check "check.observed: check" {
        BareLf "bare_lf" "A line ended in a bare LF."
        UnknownVerb "unknown_verb" "A verb that nobody knows; `everything-but-dangerous` would have refused it."
        ForeignAddress "foreign_address" "PORT or EPRT named another host; the client was dialled instead."
        LowPort "low_port" "PORT or EPRT named a port below 1024."
        Argument "argument" "TYPE, STRU or ALLO had an argument that RFC 959 does not know."
        EpsvAll "epsv_all" "A data command after EPSV ALL (RFC 2428 section 4)."
    }
    Violation "protocol.violation: what" {
        LineTooLong "line_too_long" "A line longer than `limits.line`."
        ReplyTooLong "reply_too_long" "A reply with more bytes or lines than `limits.reply` allows."
        NotAReply "not_a_reply" "A line that is no reply where only replies may come."
        UnaskedReply "unasked_reply" "A reply that nothing had asked for."
        ReplyFromClient "reply_from_client" "A line from the client that looks like a server's reply."
        SurplusReply "surplus_reply" "A surplus reply after ABOR, dropped."
        MissingReply "missing_reply" "A reply that was missing after ABOR, made up for."
        ClearBehindAuth "clear_behind_auth" "Bytes in clear where TLS was due: behind AUTH, or behind the 234 to it."
        WrongDirection "wrong_direction" "Payload against the direction of the transfer; dropped where it was relayed, and told of a forwarded one only where it is sure."
    }
    BanReason "address.banned: reason" {
        Guessing "guessing" "`login_guard.tries` of its logins were refused."
        Operator "operator" "An operator banned it (`ctl ban`)."
    }
    UnbanReason "address.unbanned: reason" {
        Expired "expired" "Its time is over."
        Operator "operator" "An operator lifted it (`ctl unban`)."
        Config "config" "A new config never bans this address."
        Replaced "replaced" "More addresses were banned than are remembered, and this ban was the first to end."
    }
    TlsFault "tls.failed: why" {
        NotTls "not_tls" "What came was no TLS."
        OldVersion "old_version" "The peer speaks nothing newer than TLS 1.1, which is not spoken here."
        NoCommonSuite "no_common_suite" "No cipher suite, group or signature is known to both."
        CertificateExpired "certificate_expired" "The certificate has expired, or is not valid yet."
        CertificateName "certificate_name" "The certificate is for another name."
        CertificateUntrusted "certificate_untrusted" "Nobody who is trusted vouches for the certificate."
        CertificateRevoked "certificate_revoked" "The certificate was revoked."
        CertificateMissing "certificate_missing" "A client certificate is required, and none came."
        Alpn "alpn" "ALPN was offered without `ftp`: another protocol was meant."
        ServerName "server_name" "The name that was asked for (SNI) is none of the certificates'."
        NotResumed "not_resumed" "The data connection does not resume the TLS session of its control connection."
        Alert "alert" "The peer refused; `alert` says why."
        HungUp "hung_up" "The peer hung up in the middle of the handshake."
        TimedOut "timed_out" "The handshake did not end in time."
        AuthRefused "auth_refused" "The server refused AUTH, and `policy` is `require`."
        ProtRefused "prot_refused" "The server refused to protect data connections, and `policy` is `require`."
        HostContradicted "host_contradicted" "HOST had named another host than TLS did."
        Other "other" "Anything else; the gateway's log has the reason."
    }
    SessionEnd "session.closed: reason" {
        Quit "quit" "QUIT, answered."
        ClientClosed "client_closed" "The client hung up."
        UpstreamClosed "upstream_closed" "The upstream hung up, or said 421."
        UpstreamUnreachable "upstream_unreachable" "The upstream could not be reached."
        LoginTimeout "login_timeout" "No login within `timeouts.login`."
        IdleTimeout "idle_timeout" "Nothing happened for `timeouts.idle`."
        CommandTimeout "command_timeout" "A line was begun and not ended within `timeouts.command`."
        ReplyTimeout "reply_timeout" "The upstream owed a reply for longer than `timeouts.final_reply`."
        SendStalled "send_stalled" "A peer took no bytes for `timeouts.send_stall`."
        Violation "violation" "A peer broke the protocol; `protocol.violation` says how."
        ForeignProtocol "foreign_protocol" "A client spoke another protocol."
        TlsFailed "tls_failed" "A control connection that was to be in TLS is not; `tls.failed` says why."
        RuleClosed "rule_closed" "A rule closed it; `command.denied` says which."
        TooManyTries "too_many_tries" "As many logins were refused as `login_guard.tries` allows."
        TooManyOfUser "too_many_of_user" "The user has as many sessions as `limits.sessions_per_user` allows."
        Banned "banned" "The client's address was banned before it had logged in; `address.banned` says why."
        NoProbe "no_probe" "From `login_guard.probes_from`, and more than a health check, while its address was at a limit."
        StartRefused "start_refused" "The server refused the start directory of anonymous users (`anonymous.start_in`)."
        RecordRefused "record_refused" "The journal could not be written."
        Killed "killed" "An operator ended it."
        Shutdown "shutdown" "The gateway stopped."
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_unique_in_their_place() {
        let mut seen = HashSet::new();
        for word in WORDS {
            assert!(seen.insert((word.place, word.word)), "{word:?}");
        }
    }
}
