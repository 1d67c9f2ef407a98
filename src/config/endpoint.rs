//! Addresses with ports: where the gateway listens and whom it dials.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::problem::Refusal;

/// The port of FTP's control connection (RFC 959, 5.2).
pub const FTP_PORT: u16 = 21;

/// Says where a listener listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// Every address of the machine: one IPv4 and one IPv6 socket (`*:21`).
    Any {
        /// The port; 0 takes any free one.
        port: u16,
    },
    /// One address; `0.0.0.0` and `[::]` mean all of that family.
    One(SocketAddr),
}

impl ListenAddress {
    /// Reads `*:21`, `192.0.2.1:21` or `[2001:db8::1]:21`.
    ///
    /// # Errors
    /// When `text` is none of them; names are not accepted here.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some(port) = text.strip_prefix("*:") {
            return Ok(Self::Any {
                port: parse_port(port, text)?,
            });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::One(address));
        }
        let refusal = Refusal::new(format!(
            "`{}` is not an address to listen on",
            text.escape_debug()
        ));
        Err(match text {
            "*" => refusal.help("add the port: `\"*:21\"`"),
            _ if text.parse::<Ipv6Addr>().is_ok() => {
                refusal.help(format!("write an IPv6 address in brackets, with its port: `\"[{text}]:21\"`"))
            }
            _ if text.parse::<IpAddr>().is_ok() => refusal.help(format!("add the port: `\"{text}:21\"`")),
            _ if text.parse::<u16>().is_ok() => {
                refusal.help(format!("add the address: `\"*:{text}\"` listens on all of them"))
            }
            _ if text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()) => {
                refusal.help(format!("add the address: `\"*{text}\"` listens on all of them"))
            }
            _ => match text.rsplit_once(':') {
                Some((host, port)) if port.parse::<u16>().is_ok() && looks_like_host_name(host) => {
                    refusal.help("a listener needs an IP address and not a name: `\"*:21\"` or `\"192.0.2.1:21\"`")
                }
                _ => refusal.help("write `\"*:21\"`, `\"192.0.2.1:21\"` or `\"[2001:db8::1]:21\"`"),
            },
        })
    }

    /// Returns the sockets that this address stands for, IPv4 first.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketAddr> {
        match *self {
            Self::Any { port } => vec![
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            ],
            Self::One(address) => vec![address],
        }
    }

    /// Returns the port, 0 for any free one.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Any { port } => *port,
            Self::One(address) => address.port(),
        }
    }

    /// Tells whether both can't be listened on at the same time.
    pub(crate) fn collides_with(&self, other: &Self) -> bool {
        self.sockets().iter().any(|mine| {
            other.sockets().iter().any(|theirs| {
                mine.port() == theirs.port()
                    && mine.port() != 0
                    && mine.is_ipv4() == theirs.is_ipv4()
                    && (mine.ip() == theirs.ip()
                        || mine.ip().is_unspecified()
                        || theirs.ip().is_unspecified())
            })
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any { port } => write!(f, "*:{port}"),
            Self::One(address) => address.fmt(f),
        }
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for ListenAddress {
    fn schema_name() -> Cow<'static, str> {
        "ListenAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`*` (IPv4 and IPv6), an IPv4 address or an IPv6 address in brackets, and a port.",
            "type": "string",
            "pattern": r"^(\*|[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$",
            "examples": ["*:21", "192.0.2.1:21", "[2001:db8::1]:21"],
        })
    }
}

/// Names an upstream server's host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name to be resolved when it is dialled, in lower case.
    Name(String),
}

/// Says where an upstream server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamAddress {
    /// The server's host.
    pub host: Host,
    /// The port of its control connections, never 0.
    pub port: u16,
}

impl UpstreamAddress {
    /// Reads `10.0.0.5:21`, `ftp.example.com`, `[2001:db8::5]:2121`; the port defaults to 21.
    ///
    /// # Errors
    /// When `text` is none of them.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let (host, port) = split_host_and_port(text)?;
        let port = port.map_or(Ok(FTP_PORT), |port| parse_port(port, text))?;
        if port == 0 {
            return Err(Refusal::new(format!("port 0 in `{text}` can't be dialled"))
                .help("leave the port away (it is 21 then) or write the server's own"));
        }
        Ok(Self {
            host: parse_host(host, text)?,
            port,
        })
    }
}

fn split_host_and_port(text: &str) -> Result<(&str, Option<&str>), Refusal> {
    let refusal = || {
        Refusal::new(format!(
            "`{}` is not the address of a server",
            text.escape_debug()
        ))
    };
    if let Some(rest) = text.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((host, "")) => Ok((host, None)),
            Some((host, port)) if port.starts_with(':') => Ok((host, port.strip_prefix(':'))),
            _ => Err(refusal().help("an IPv6 address stands in brackets: `\"[2001:db8::5]:21\"`")),
        };
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        return Err(refusal().help(format!(
            "write the host alone, without `{}://`: `\"{}\"`",
            scheme.escape_debug(),
            host.escape_debug()
        )));
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, port)) if port.contains(':') => {
            Err(refusal().help("write an IPv6 address in brackets: `\"[2001:db8::5]:21\"`"))
        }
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn parse_host(host: &str, text: &str) -> Result<Host, Refusal> {
    if text.starts_with('[') {
        return host
            .parse::<Ipv6Addr>()
            .map(|address| Host::Address(address.into()))
            .map_err(|_| {
                Refusal::new(format!("`{}` is not an IPv6 address", host.escape_debug()))
                    .help("an IPv6 address stands in brackets: `\"[2001:db8::5]:21\"`")
            });
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    if host.starts_with(|c: char| c.is_ascii_digit())
        && host.chars().all(|c| c.is_ascii_digit() || c == '.')
    {
        return Err(Refusal::new(format!("`{host}` is not an IPv4 address"))
            .help("an IPv4 address is four numbers from 0 to 255: `10.0.0.5`"));
    }
    if looks_like_host_name(host) {
        return Ok(Host::Name(host.to_ascii_lowercase()));
    }
    Err(Refusal::new(format!("`{}` is not the name of a host", host.escape_debug()))
        .help("write an address or a name, and a port where it is not 21: `\"10.0.0.5:21\"`, `\"ftp.example.com\"`"))
}

/// Tells whether `text` may be a DNS name (RFC 1123, 2.1; underscores as names in use have them).
fn looks_like_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn parse_port(port: &str, text: &str) -> Result<u16, Refusal> {
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten().ok_or_else(|| {
        Refusal::new(format!(
            "`{}` is not a port in `{}`",
            port.escape_debug(),
            text.escape_debug()
        ))
        .help("a port is a number up to 65535")
    })
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl Serialize for UpstreamAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for UpstreamAddress {
    fn schema_name() -> Cow<'static, str> {
        "UpstreamAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A host name, an IPv4 address or an IPv6 address in brackets, and a port unless it is 21.",
            "type": "string",
            "pattern": r"^([0-9A-Za-z_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$",
            "examples": ["10.0.0.5:21", "ftp.example.com", "[2001:db8::5]:2121"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> ListenAddress {
        ListenAddress::parse(text).unwrap()
    }

    #[test]
    fn a_star_is_one_socket_of_each_version() {
        let sockets: Vec<String> = listen("*:21")
            .sockets()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(sockets, ["0.0.0.0:21", "[::]:21"]);
        assert_eq!(listen("[::1]:2121").sockets().len(), 1);
        assert_eq!(listen("127.0.0.1:0").port(), 0);
    }

    #[test]
    fn addresses_collide_where_a_socket_would() {
        for (one, other) in [
            ("*:21", "*:21"),
            ("*:21", "192.0.2.1:21"),
            ("*:21", "[::1]:21"),
            ("0.0.0.0:21", "192.0.2.1:21"),
            ("[::1]:21", "[::1]:21"),
        ] {
            assert!(
                listen(one).collides_with(&listen(other))
                    && listen(other).collides_with(&listen(one)),
                "{one} {other}"
            );
        }
        for (one, other) in [
            ("*:21", "*:22"),
            ("0.0.0.0:21", "[::]:21"),
            ("192.0.2.1:21", "192.0.2.2:21"),
            ("127.0.0.1:0", "127.0.0.1:0"),
        ] {
            assert!(!listen(one).collides_with(&listen(other)), "{one} {other}");
        }
    }

    #[test]
    fn upstreams_are_names_and_addresses() {
        for (text, canonical) in [
            ("10.0.0.5", "10.0.0.5:21"),
            ("10.0.0.5:2121", "10.0.0.5:2121"),
            ("FTP.Example.com", "ftp.example.com:21"),
            ("my_server:22", "my_server:22"),
            ("[2001:DB8::5]", "[2001:db8::5]:21"),
            ("[2001:db8::5]:990", "[2001:db8::5]:990"),
        ] {
            let address = UpstreamAddress::parse(text).unwrap();
            assert_eq!(address.to_string(), canonical);
            assert_eq!(UpstreamAddress::parse(canonical), Ok(address));
        }
    }

    #[test]
    fn what_is_no_upstream_is_refused() {
        for bad in [
            "",
            ":21",
            "a b",
            "10.0.0.256",
            "10.0.5",
            "::1",
            "[::1",
            "[::1]21",
            "[10.0.0.5]:21",
            "[fe80::1%eth0]:21",
            "a:0",
            "a:65536",
            "a:+1",
            "a:",
            "-a",
            "a-",
            "a..b",
            "ftp://a",
            "a/b",
        ] {
            assert!(UpstreamAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
