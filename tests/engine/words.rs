//! The words of the transcripts: how effects, records and bytes are written in a line, and how they are read back.

use portcullis::engine::{
    Carried, Direction, ForeignAddress, Manner, Output, PinholeId, Record, Side,
};

pub fn json(record: &Record) -> String {
    serde_json::to_string(&record.event).expect("data")
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
        Output::ReservePinhole { id, pinhole } => {
            let from = if pinhole.from.prefix_len() == pinhole.from.max_prefix_len() {
                pinhole.from.addr().to_string()
            } else {
                pinhole.from.to_string()
            };
            let to = pinhole.leads_to.map_or("?".to_owned(), |to| to.to_string());
            match (pinhole.carried, pinhole.source) {
                (Carried::Relayed, _) => format!("!open {id} from {from} to {to}"),
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
        Output::StartRelay {
            direction: Direction::Download,
            ..
        } => "!relay download".to_owned(),
        Output::StartRelay {
            direction: Direction::Upload,
            ..
        } => "!relay upload".to_owned(),
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
        Output::Close { side } => format!("!hangup {side}"),
    };
    vec![one]
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
