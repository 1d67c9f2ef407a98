//! The words of the transcripts: how effects, records and bytes are written in a line, and how they are read back.

use std::time::Duration;

use portcullis::engine::{
    Bounds, Carried, ClientCertificate, DataTls, Direction, ForeignAddress, Legs, Manner, Output,
    Pace, PinholeId, Record, Side, TlsFacts, TlsFailure, TlsFault, TlsRole, TlsVersion,
};

/// Writes a record as its id and its facts.
pub fn told(record: &Record) -> String {
    let facts = serde_json::to_string(&record.event).expect("data");
    format!("{} {facts}", record.event.id())
}

pub fn is_expectation(line: &str) -> bool {
    [
        "!dial-upstream",
        "!open ",
        "!forward ",
        "!relay-instead ",
        "!close ",
        "!dial ",
        "!relay ",
        "!end ",
        "!hangup ",
        "!start-tls ",
        "!data-tls ",
        "!seat ",
        "!ask ",
        "!move ",
        "!give-tickets",
    ]
    .iter()
    .any(|start| line.starts_with(start) || line == start.trim_end())
}

pub fn show(output: Output) -> Vec<String> {
    let one = match output {
        Output::Send { to, bytes } => {
            let mark = if to == Side::Client { ">C" } else { ">U" };
            let text = escape(&bytes);
            return text
                .split_inclusive("\\r\\n")
                .map(|line| {
                    format!("{mark} {}", line.strip_suffix("\\r\\n").unwrap_or(line))
                        .trim_end()
                        .to_owned()
                })
                .collect();
        }
        Output::DialUpstream => "!dial-upstream".to_owned(),
        Output::MoveUpstream { to } => format!("!move {to}"),
        Output::Ask { id, ask, question } => {
            // The question as far as tests say: what is null and what is always the same is left out.
            let text: serde_json::Value = serde_json::from_slice(&question).expect("JSON");
            let usual = ["version", "rule", "session", "client", "target", "listener"];
            let known = text.as_object().expect("an object").iter();
            let told = known.filter(|(key, value)| {
                !usual.contains(&key.as_str()) && !value.is_null() && **value != false
            });
            let told: Vec<_> = told.map(|(key, value)| format!("{key}={value}")).collect();
            format!("!ask {} {}: {}", id.0, ask.exit, told.join(" "))
        }
        Output::ReservePinhole { id, pinhole } => {
            let from = if pinhole.from.prefix_len() == pinhole.from.max_prefix_len() {
                pinhole.from.addr().to_string()
            } else {
                pinhole.from.to_string()
            };
            let to = pinhole.leads_to.map_or("?".to_owned(), |to| to.to_string());
            let proof = match pinhole.tls {
                DataTls::Clear | DataTls::Tls => "",
                DataTls::Resumed => " resumed",
            };
            match (pinhole.carried, pinhole.source) {
                (Carried::Relayed, _) => format!("!open {id} from {from} to {to}{proof}"),
                (Carried::Forwarded, Some(source)) => {
                    format!("!forward {id} from {from} to {to} as {source}")
                }
                (Carried::Forwarded, None) => format!("!forward {id} from {from} to {to}"),
            }
        }
        Output::OpenPinhole { .. } | Output::Write(_) => return Vec::new(),
        Output::RelayInstead { id } => format!("!relay-instead {id}"),
        Output::ClosePinhole { id, reason } => format!("!close {id} {reason:?}"),
        Output::DialData { side, to, from, .. } => format!("!dial {side} {to} from {from}"),
        Output::StartTls { with, role } => match role {
            TlsRole::Server => format!("!start-tls {with} as server"),
            TlsRole::Client { short_of_tickets } => {
                let scarce = if short_of_tickets {
                    " short-of-tickets"
                } else {
                    ""
                };
                format!("!start-tls {with} as client{scarce}")
            }
        },
        Output::GiveTickets { .. } => "!give-tickets".to_owned(),
        Output::StartDataTls { side, .. } => format!("!data-tls {side}"),
        Output::StartRelay {
            direction,
            tls,
            bounds,
            ..
        } => {
            let direction = match direction {
                Direction::Download => "download",
                Direction::Upload => "upload",
            };
            format!("!relay {direction}{}{}", protection(tls), bound(bounds))
        }
        Output::EndData {
            manner: Manner::Abort,
            ..
        } => "!end abort".to_owned(),
        Output::EndData {
            manner: Manner::Drop,
            ..
        } => "!end drop".to_owned(),
        Output::EndData {
            manner: Manner::Linger,
            ..
        } => "!end linger".to_owned(),
        Output::SeatUser { user } => format!("!seat {user}"),
        Output::Close { side } => format!("!hangup {side}"),
    };
    vec![one]
}

/// ` at 1000/s after 50ms for 4096 bytes`, and nothing where nothing is bounded. The stage's clock begins at 1000 s.
fn bound(bounds: Bounds) -> String {
    let mut shown = String::new();
    if let Some(Pace { rate, from }) = bounds.pace {
        let after = from.saturating_sub(Duration::from_secs(1000)).as_millis();
        shown.push_str(&format!(" at {rate}/s after {after}ms"));
    }
    if let Some(bytes) = bounds.bytes {
        shown.push_str(&format!(" for {bytes} bytes"));
    }
    shown
}

/// ` client tls upstream tls`, and nothing where a leg is in clear.
fn protection(tls: Legs<DataTls>) -> String {
    let mut shown = String::new();
    for side in [Side::Client, Side::Upstream] {
        match tls[side] {
            DataTls::Clear => {}
            DataTls::Tls => shown += &format!(" {side} tls"),
            DataTls::Resumed => shown += &format!(" {side} resumed"),
        }
    }
    shown
}

/// Reads what a handshake gave: `1.2 resumed sni=NAME certificate=SUBJECT user=NAME`, each where it differs.
pub fn tls_facts(words: &[&str]) -> Result<Box<TlsFacts>, String> {
    let mut facts = TlsFacts {
        version: TlsVersion::V1_3,
        cipher: "TLS13_AES_128_GCM_SHA256",
        resumed: false,
        sni: None,
        certificate: None,
    };
    for word in words {
        match (*word, word.split_once('=')) {
            ("1.2", _) => facts.version = TlsVersion::V1_2,
            ("resumed", _) => facts.resumed = true,
            (_, Some(("sni", name))) => facts.sni = Some(name.into()),
            (_, Some(("certificate", subject))) => {
                facts.certificate = Some(ClientCertificate {
                    subject: subject.into(),
                    user: None,
                });
            }
            (_, Some(("user", name))) => {
                let certificate = facts.certificate.as_mut().ok_or("certificate= first")?;
                certificate.user = Some(name.into());
            }
            _ => return Err(format!("no such fact {word}")),
        }
    }
    Ok(Box::new(facts))
}

/// Reads why there is no TLS, by the journal's word, and perhaps the alert.
pub fn tls_failure(words: &[&str]) -> Result<TlsFailure, String> {
    let faults = [
        TlsFault::OldVersion,
        TlsFault::CertificateName,
        TlsFault::CertificateExpired,
        TlsFault::NotResumed,
        TlsFault::Alert,
        TlsFault::HungUp,
        TlsFault::TimedOut,
    ];
    let (word, alert) = match words {
        [word] => (word, None),
        [word, "alert", "handshake_failure"] => (word, Some("handshake_failure")),
        [word, "alert", "protocol_version"] => (word, Some("protocol_version")),
        _ => return Err("WHY, or WHY alert NAME".to_owned()),
    };
    let why = faults.into_iter().find(|fault| fault.word() == *word);
    let why = why.ok_or("no such fault")?;
    Ok(TlsFailure { why, alert })
}

pub fn foreign(value: &str) -> Result<ForeignAddress, String> {
    Ok(match value {
        "refuse" => ForeignAddress::Refuse,
        "ignore" => ForeignAddress::Ignore,
        network => ForeignAddress::Allow(vec![network.parse().map_err(|_| "a network")?]),
    })
}

pub fn side_of(word: &str) -> Result<Side, String> {
    match word {
        "client" => Ok(Side::Client),
        "upstream" => Ok(Side::Upstream),
        _ => Err("client or upstream".to_owned()),
    }
}

pub fn pinhole(word: &str) -> Result<PinholeId, String> {
    word.parse()
        .map(PinholeId)
        .map_err(|_| "a pinhole's number".to_owned())
}

pub fn escape(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'\r' => "\\r".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\\' => "\\\\".to_owned(),
            0x20..=0x7e => char::from(*byte).to_string(),
            other => format!("\\x{other:02x}"),
        })
        .collect()
}

pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            bytes.extend_from_slice(character.to_string().as_bytes());
            continue;
        }
        match rest.next() {
            Some('r') => bytes.push(b'\r'),
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('0') => bytes.push(0),
            Some('\\') => bytes.push(b'\\'),
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).map_err(|_| "two hex digits")?);
            }
            _ => return Err("no such escape".to_owned()),
        }
    }
    Ok(bytes)
}
