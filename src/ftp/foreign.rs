//! Other protocols on FTP's port, known by their first bytes.
//!
//! A browser or a mail server that was made to talk to us (ALPACA, NAT slipstreaming) must not get a second line in.

use super::verb::Verb;

/// Names a protocol that is not FTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForeignProtocol {
    /// HTTP, or a protocol that has its request line: RTSP, SIP.
    Http,
    /// SMTP: EHLO or HELO.
    Smtp,
    /// SSH: its version line.
    Ssh,
    /// TLS: a ClientHello where clear text was due.
    Tls,
    /// A PROXY header, version 1 or 2, where none was configured.
    ProxyHeader,
}

impl ForeignProtocol {
    /// Names the protocol with a stable word, for the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Smtp => "smtp",
            Self::Ssh => "ssh",
            Self::Tls => "tls",
            Self::ProxyHeader => "proxy_header",
        }
    }

    /// Recognises a line of another protocol.
    ///
    /// The signature of PROXY version 2 is three lines of which the first two are empty; the third holds only a NUL and is
    /// the one that tells.
    #[must_use]
    pub fn recognise(line: &[u8]) -> Option<Self> {
        let (&first, rest) = line.split_first()?;
        if is_tls_client_hello(first) {
            return Some(Self::Tls);
        }
        if first == 0 && rest.iter().all(|byte| *byte == 0) {
            return Some(Self::ProxyHeader);
        }
        let mut words = line.split(|byte| *byte == b' ');
        let word = words.next()?;
        if word
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"SSH-"))
        {
            return Some(Self::Ssh);
        }
        if word.eq_ignore_ascii_case(b"PROXY") {
            return words
                .next()
                .filter(|family| [b"TCP4".as_slice(), b"TCP6", b"UNKNOWN"].contains(family))
                .map(|_| Self::ProxyHeader);
        }
        // A stray control byte behind the word is no disguise: `GET\0/` is still no FTP.
        let end = word
            .iter()
            .position(|byte| !byte.is_ascii_graphic())
            .unwrap_or(word.len());
        match Verb::parse(word.get(..end)?) {
            Verb::Unknown => ends_like_a_request_line(line).then_some(Self::Http),
            known => known.foreign_protocol(),
        }
    }
}

/// Says whether the last of at least three words is a version as HTTP, RTSP and SIP write it: `PATCH / HTTP/1.1`.
///
/// Asked only where the first word is no verb of FTP, since a file may have any name.
fn ends_like_a_request_line(line: &[u8]) -> bool {
    let mut words = line.trim_ascii_end().rsplit(|byte| *byte == b' ');
    let version = words.next().unwrap_or_default();
    words.nth(1).is_some()
        && [b"HTTP/".as_slice(), b"RTSP/", b"SIP/"]
            .iter()
            .any(|start| version.starts_with(start))
}

/// Says whether a connection that begins with this byte begins with a TLS record: a handshake (RFC 8446 5.1).
///
/// A ClientHello need not hold an LF, so that no line would ever come of it.
#[must_use]
pub const fn is_tls_client_hello(first_byte: u8) -> bool {
    first_byte == 0x16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_protocols_are_foreign() {
        for (line, protocol) in [
            (b"POST / HTTP/1.1".as_slice(), ForeignProtocol::Http),
            (b"get /", ForeignProtocol::Http),
            (b"GET\0/", ForeignProtocol::Http),
            (b"OPTIONS", ForeignProtocol::Http),
            (b"PATCH /x HTTP/1.1", ForeignProtocol::Http),
            (b"PRI * HTTP/2.0", ForeignProtocol::Http),
            (b"REGISTER sip:example.net SIP/2.0", ForeignProtocol::Http),
            (
                b"DESCRIBE rtsp://example.net RTSP/1.0\r",
                ForeignProtocol::Http,
            ),
            (b"EHLO mail.example.net", ForeignProtocol::Smtp),
            (b"HELO mail.example.net", ForeignProtocol::Smtp),
            (b"SSH-2.0-anything", ForeignProtocol::Ssh),
            (b"\x16\x03\x01\x02\x00\x01", ForeignProtocol::Tls),
            (
                b"PROXY TCP4 198.51.100.7 203.0.113.10 4000 21",
                ForeignProtocol::ProxyHeader,
            ),
            (b"PROXY UNKNOWN", ForeignProtocol::ProxyHeader),
            (b"\0", ForeignProtocol::ProxyHeader),
        ] {
            assert_eq!(
                ForeignProtocol::recognise(line),
                Some(protocol),
                "{}",
                line.escape_ascii()
            );
        }
    }

    #[test]
    fn lines_of_ftp_are_not_foreign() {
        for line in [
            b"".as_slice(),
            b"RETR a HTTP/1.1",
            b"OPTS UTF8 ON",
            b"XGET / x",
            b"NONSENSE HTTP/1.1",
            b"PROXY",
            b"PROXY TCP9 x",
            b"USER EHLO",
            b"\x17",
        ] {
            assert_eq!(
                ForeignProtocol::recognise(line),
                None,
                "{}",
                line.escape_ascii()
            );
        }
    }

    #[test]
    fn a_tls_client_hello_is_known_by_its_first_byte() {
        assert!(is_tls_client_hello(0x16));
        assert!(!is_tls_client_hello(b'U'));
    }
}
