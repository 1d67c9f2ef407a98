//! What must hold for any bytes at all, one function for each part of the control connection's language.
//!
//! The same bodies run under `cargo test`, over the corpus and mutations of it, and under cargo-fuzz. An input is plain
//! protocol text; what else a body needs (limits, cuts) it draws from the input's own hash, so that every input means
//! the same everywhere.

#[path = "answers.rs"]
mod answers;
#[path = "model.rs"]
mod model;
#[path = "session.rs"]
pub mod played;
#[path = "ruled.rs"]
pub mod ruled;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use portcullis::ftp::address::{
    EpsvArgument, eprt_argument, parse_227, parse_229, parse_eprt, parse_port, port_argument,
    reply_227, reply_229,
};
use portcullis::ftp::feature::{feature_verb, filter_feat};
use portcullis::ftp::line::unescape_iac;
use portcullis::ftp::{
    BareLf, Command, CommandFault, Ending, Line, LineFramer, Reply, ReplyAssembler, ReplyFault,
    Verb, escaped, escaped_to, masked, masked_to,
};
use portcullis::nft::envelope::Envelope;
use portcullis::nft::message::{
    Answer, MOST_TOGETHER, Notice, Page, Report, Request, SIZE, Together, emit_together,
    said_where, say_where,
};
use portcullis::nft::packet::dial;
use portcullis::nft::{Admits, Opening};

pub use answers::answers;
pub use played::session;
pub use ruled::rules;

/// Draws small numbers from an input's hash.
struct Dice(u64);

impl Dice {
    fn of(data: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        data.hash(&mut hasher);
        Self(hasher.finish() | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound.max(1)
    }
}

/// Framing is what a plain model says, however the bytes arrive, and memory is bounded.
pub fn lines(data: &[u8]) {
    let mut dice = Dice::of(data);
    let limit = [8, 64, 512][dice.below(3)];
    let expected = model::frame(data, limit);

    let mut framer = LineFramer::new(limit);
    framer.push(data);
    assert_eq!(
        drained(&mut framer, data.len(), limit),
        expected,
        "pushed whole"
    );

    let mut framer = LineFramer::new(limit);
    let mut lines = Vec::new();
    for byte in data {
        framer.push(&[*byte]);
        assert!(framer.pending() <= limit + 1);
        lines.extend(drained(&mut framer, 1, limit));
    }
    lines.dedup_by(|again, fault| again.is_err() && fault.is_err());
    assert_eq!(lines, expected, "pushed byte by byte");

    let mut framer = LineFramer::new(limit);
    let mut lines = Vec::new();
    let mut rest = data;
    while let Some((mut chunk, after)) = rest.split_at_checked(1 + dice.below(rest.len())) {
        rest = after;
        let stop_after = dice.below(3);
        while lines.len() % 3 != stop_after
            && let Some(line) = framer.pull(&mut chunk)
        {
            let fault = line.is_err();
            lines.push(line);
            if fault {
                break;
            }
        }
        framer.push(chunk);
        if rest.is_empty() {
            break;
        }
    }
    lines.extend(drained(&mut framer, data.len(), limit));
    lines.dedup_by(|again, fault| again.is_err() && fault.is_err());
    assert_eq!(lines, expected, "pulled and pushed in chunks");

    for line in expected.into_iter().flatten() {
        let plain = unescape_iac(&line.bytes);
        assert!(plain.len() <= line.bytes.len());
        let mut framer = LineFramer::new(limit);
        framer.push(&line.bytes);
        framer.push(b"\n");
        let again = framer
            .next_line()
            .and_then(Result::ok)
            .expect("no longer than it was");
        // A CR at the end is taken for the terminator's now; else nothing is left to strip.
        assert_eq!(
            again.bytes,
            line.bytes.strip_suffix(b"\r").unwrap_or(&line.bytes)
        );
    }
}

/// Takes every line, up to a fault and not past it.
fn drained(framer: &mut LineFramer, pushed: usize, limit: usize) -> model::Framed {
    assert!(framer.pending() <= pushed + limit + 1);
    let mut lines = Vec::new();
    while let Some(line) = framer.next_line() {
        let fault = line.is_err();
        lines.push(line);
        if fault {
            assert_eq!(framer.pending(), 0);
            break;
        }
    }
    lines
}

/// A command leaves as one line that parses to the same command, and prints as one harmless line.
pub fn commands(data: &[u8]) {
    for line in model::frame(data, 512).into_iter().flatten() {
        print_harmless(&masked(&line.bytes).to_string());
        print_harmless(&masked_to(&line.bytes, 16).to_string());
        let refusing = Command::parse(line.clone(), BareLf::Refuse);
        let accepting = Command::parse(line.clone(), BareLf::Accept);
        match (&refusing, line.ending) {
            (Err(CommandFault::BareLf), Ending::Lf) => {}
            (_, Ending::CrLf) => assert_eq!(refusing, accepting),
            (Err(CommandFault::Foreign(_)), Ending::Lf) => assert_eq!(refusing, accepting),
            (_, Ending::Lf) => panic!("a bare LF passed"),
        }
        let Ok(command) = accepting else { continue };
        check_command(&command, &line);
    }
}

fn check_command(command: &Command, line: &Line) {
    assert!(line.bytes.ends_with(command.raw()));
    assert!(
        command.raw() == line.bytes || command.verb == Verb::Abor,
        "changed on the way"
    );
    assert_eq!(command.verb, Verb::parse(command.verb_text()));
    let rebuilt = match command.argument() {
        Some(argument) => [command.verb_text(), b" ", argument].concat(),
        None => command.verb_text().to_vec(),
    };
    assert_eq!(rebuilt, command.raw());
    assert_eq!(command.emit(), command.clone().into_emitted());
    assert_eq!(parsed_again(command.emit()).as_ref(), Ok(command));
    if command.verb != Verb::Unknown {
        let ours = Command::new(command.verb, command.argument());
        let again = parsed_again(ours.emit()).expect("our own command");
        assert_eq!(
            (again.verb, again.argument()),
            (command.verb, command.argument())
        );
    }
    let printed = command.to_string();
    print_harmless(&printed);
    if command.verb.has_secret_argument() && command.argument().is_some() {
        assert_eq!(printed.as_bytes(), [command.verb_text(), b" ****"].concat());
    }
}

fn parsed_again(emitted: Vec<u8>) -> Result<Command, CommandFault> {
    let mut framer = LineFramer::new(1024);
    framer.push(&emitted);
    let line = framer.next_line().and_then(Result::ok).expect("one line");
    assert_eq!(framer.pending(), 0, "more than one line");
    Command::parse(line, BareLf::Refuse)
}

/// A reply leaves as the one reply that it is, within its bounds, and only its last line ends it.
pub fn replies(data: &[u8]) {
    let mut dice = Dice::of(data);
    let (max_bytes, max_lines) = ([64, 4096][dice.below(2)], [3, 100][dice.below(2)]);
    let mut assembler = ReplyAssembler::new(max_bytes, max_lines);
    for line in model::frame(data, 512).into_iter().flatten() {
        match assembler.push(line.clone()) {
            Ok(None) => assert!(!assembler.is_idle()),
            Ok(Some(reply)) => {
                assert!(assembler.is_idle());
                assert!(reply.as_bytes().len() <= max_bytes && reply.lines().count() <= max_lines);
                check_reply(&reply);
            }
            Err(fault) => {
                assert_eq!(assembler.push(line), Err(fault), "a fault stays");
                break;
            }
        }
    }
}

fn check_reply(reply: &Reply) {
    let code = reply.code().to_string();
    assert!((100..=599).contains(&reply.code().get()));
    assert!(reply.final_line().starts_with(code.as_bytes()));
    assert_eq!(reply.lines().last(), Some(reply.final_line()));
    assert!(reply.final_line().ends_with(reply.final_text()));
    assert!(reply.is_preliminary() != reply.is_final());
    let ends =
        |line: &&[u8]| *line == code.as_bytes() || line.starts_with(format!("{code} ").as_bytes());
    assert_eq!(
        reply.lines().filter(ends).count(),
        1,
        "two ends in one reply"
    );
    assert_eq!(read_back(reply).as_ref(), Ok(reply));
    print_harmless(&reply.to_string());
}

/// Reads what a reply emits, which must be all of one reply, and with nothing that framing would change.
fn read_back(reply: &Reply) -> Result<Reply, ReplyFault> {
    let mut framer = LineFramer::new(1 << 20);
    framer.push(&reply.emit());
    let mut assembler = ReplyAssembler::new(1 << 20, 1 << 20);
    let mut replies = Vec::new();
    while let Some(line) = framer.next_line() {
        let line = line.expect("a bounded line");
        assert!(line.ending == Ending::CrLf && !line.stray_cr && !line.nul);
        replies.extend(assembler.push(line)?);
    }
    assert!(assembler.is_idle() && framer.pending() == 0);
    let [reply] = replies.try_into().expect("exactly one reply");
    Ok(reply)
}

/// A filtered list of features is one reply, and holds the upstream's own lines in their order.
pub fn features(data: &[u8]) {
    let mut assembler = ReplyAssembler::new(1 << 16, 1 << 10);
    for line in model::frame(data, 512).into_iter().flatten() {
        let Ok(reply) = assembler.push(line) else {
            break;
        };
        let Some(reply) = reply else { continue };
        assert_eq!(filter_feat(&reply, |_| true), reply);
        let filtered = filter_feat(&reply, |feature| {
            assert_eq!(feature, feature.trim_ascii());
            !matches!(feature_verb(feature), Verb::Auth | Verb::Epsv | Verb::Spsv)
        });
        check_reply(&filtered);
        let mut theirs = reply.lines();
        assert!(
            filtered.lines().all(|kept| theirs.any(|line| line == kept)),
            "not the upstream's own words"
        );
        assert_eq!(filtered.lines().next(), reply.lines().next());
        assert_eq!(filtered.final_line(), reply.final_line());
    }
}

/// An address that is read leaves in a form that reads as the same one, and numbers mean what they say.
pub fn addresses(data: &[u8]) {
    assert_eq!(parse_port(data).ok(), model::port(data));
    if let Ok(address) = parse_port(data) {
        assert_eq!(parse_port(port_argument(address).as_bytes()), Ok(address));
        assert_eq!(parse_227(data), Ok(address), "the same numbers in a reply");
    }
    if let Ok(address) = parse_eprt(data) {
        assert_ne!(address.port(), 0);
        assert_eq!(address.ip(), address.ip().to_canonical());
        assert_eq!(parse_eprt(eprt_argument(address).as_bytes()), Ok(address));
    }
    if let Ok(address) = parse_227(data) {
        let reply = reply_227(address);
        assert_eq!(parse_227(reply.final_text()), Ok(address));
        assert_eq!(read_back(&reply), Ok(reply));
    }
    if let Ok(port) = parse_229(data) {
        assert!(
            String::from_utf8_lossy(data).contains(&port.to_string()),
            "a port that nobody wrote"
        );
        assert_eq!(parse_229(reply_229(port).final_text()), Ok(port));
    }
    if let Ok(EpsvArgument::Family(family)) = EpsvArgument::parse(Some(data)) {
        assert_eq!(str::from_utf8(data).map(str::parse), Ok(Ok(family)));
    }
}

/// What is printed can be read back exactly, obeys its bound, and does nothing to a terminal.
pub fn printing(data: &[u8]) {
    let whole = escaped(data).to_string();
    print_harmless(&whole);
    assert_eq!(model::unescape(&whole), data);
    for max in [0, 1, 7, 80] {
        let bounded = escaped_to(data, max).to_string();
        print_harmless(&bounded);
        match bounded.strip_suffix('…') {
            Some(cut) if bounded != whole => assert!(cut.len() <= max && whole.starts_with(cut)),
            _ => assert_eq!(bounded, whole),
        }
    }
}

fn print_harmless(printed: &str) {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    assert!(!printed.contains(harmful), "{printed:?}");
    let quotes = printed.replace("\\\\", "").replace("\\\"", "");
    assert!(!quotes.contains('"'), "a bare quote: {printed:?}");
}

/// A page is one message or none, and one that reads is written exactly as it was.
pub fn messages(data: &[u8]) {
    let mut page: Page = [0; SIZE];
    let length = data.len().min(SIZE);
    page[..length].copy_from_slice(&data[..length]);
    let mut read = 0;
    if let Ok((number, request)) = Request::parse(&page) {
        read += 1;
        let mut written = request.emit(number);
        say_the_same(&mut written, &page);
        assert_eq!(written, page);
        asked(request);
    }
    if let Ok((number, answer)) = Answer::parse(&page) {
        read += 1;
        assert_eq!(answer.emit(number), page);
    }
    if let Ok(notice) = Notice::parse(&page) {
        read += 1;
        assert_eq!(notice.emit(), page);
    }
    if let Ok(report) = Report::parse(&page) {
        read += 1;
        assert_eq!(report.emit(), page);
    }
    assert!(read <= 1, "two messages in one page");
    if let Ok(Together { first, requests }) = Together::parse(data) {
        assert!((1..=MOST_TOGETHER).contains(&requests.len()));
        let mut written = emit_together(first, &requests, Request::emit);
        say_the_same(&mut written, data);
        assert_eq!(written, data);
        requests.into_iter().for_each(asked);
    }
}

/// Has a request come from where another one comes.
fn say_the_same(written: &mut [u8], read: &[u8]) {
    if let Some(processor) = said_where(read) {
        say_where(written, processor);
    }
}

/// Whatever is permitted lies within plain bounds, told a second time in other words.
fn asked(request: Request) {
    let Request::Open(hole) = request else {
        return;
    };
    let here: IpAddr = Ipv4Addr::new(198, 51, 100, 1).into();
    let upstream: IpAddr = Ipv4Addr::new(192, 0, 2, 7).into();
    let envelope = Envelope {
        client_window: 21000..=21015,
        upstream_window: Some(22000..=22999),
        listeners: vec![here],
        upstreams: vec![upstream],
        names: BTreeMap::new(),
        foreign: Vec::new(),
        prefix_peers: false,
        candidates: false,
        any_peer: false,
        keeps_source: false,
        source_ports: vec![20],
        client_ttl: Duration::from_secs(40),
        upstream_ttl: Duration::from_secs(40),
        holes: 1,
        bans: 1,
    };
    let mut is_ours = |address| address == here;
    if envelope.check_hole(&hole, 0, &mut is_ours).is_err() {
        return;
    }
    assert!(hole.ttl <= Duration::from_secs(40) && !hole.ttl.is_zero());
    let (Opening::Forward { at, .. } | Opening::Relay { at, .. }) = hole.opening;
    assert_eq!(at.ip(), here);
    let for_client = (21000..=21015).contains(&at.port());
    assert!(for_client || (22000..=22999).contains(&at.port()));
    match hole.opening {
        Opening::Forward {
            peer, to, source, ..
        } => {
            assert!(to.port() >= 1024 && to.ip() != here);
            assert_eq!(if for_client { to.ip() } else { peer }, upstream);
            let source = source.expect("nobody keeps its source");
            assert_eq!(source.ip(), here);
            assert!(source.port() == 0 || (source.port() == 20 && !for_client));
        }
        Opening::Relay { peer, admits, .. } => {
            assert_eq!((peer.prefix_len(), admits), (32, Admits::One));
            assert!(for_client || peer.addr() == upstream);
        }
    }
}

/// A logged packet is read within its bounds, and one that was cut tells the same or nothing.
pub fn packets(data: &[u8]) {
    let whole = dial(data);
    if let Some(whole) = whole {
        assert_eq!(whole.from.is_ipv4(), whole.to.is_ipv4());
    }
    let cut = Dice::of(data).below(data.len());
    let part = dial(&data[..cut]);
    assert!(part.is_none() || part == whole, "{part:?} of {whole:?}");
}
