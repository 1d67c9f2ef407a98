//! Other protocols on FTP's port, known by their first bytes.
//!
//! A browser or a mail server that was made to talk to us (ALPACA, NAT slipstreaming) must not get a second line in.

use super::verb::Verb;

/// Names a protocol that is not FTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForeignProtocol {
    /// HTTP: a request line.
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
        Verb::parse(word.get(..end)?).foreign_protocol()
    }
}

/// Says whether a connection that begins with this byte begins with a TLS record: a handshake (RFC 8446 5.1).
///
/// A ClientHello need not hold an LF, so that no line would ever come of it.
#[must_use]
pub const fn is_tls_client_hello(first_byte: u8) -> bool {
    first_byte == 0x16
}
