//! A whole session, driven by an input that reads like a dialogue.
//!
//! Each line is one move, told by its first byte; what follows is what it carries. Anything else is a client's line.
//!
//! ```text
//! C NOOP      a line from the client          c PAS   bytes from it, without an end
//! U 200 ok    a line from the upstream        u 20    bytes from it, without an end
//! +           the upstream does as it is told  1       it says 150     -3  it refuses     ~  it names another host
//! d D         the oldest dial fails, works    o O     the client, the upstream comes to its pinhole
//! f F         the relay breaks, is complete   w40     40 seconds pass  W   time passes to the next deadline
//! x X         the client, the upstream closes  s      a peer takes no bytes
//! j J         the journal goes down, up       r R p   no port is free, all are well, ports don't open
//! k Z         the session is killed, drained  h H     handshakes fail from now on, work
//! q Q         nobody answers in handshakes; the client does after all
//! t T         the client's, the upstream's data leg is in TLS
//! mpa         first line only: passive, active upstream; 6 an IPv6 client; n the kernel can carry data; e i explicit,
//!             implicit TLS with the client, l of which all is required, o resumed; E I the same with the upstream,
//!             y which is only preferred
//! ```

#[path = "../engine/stage.rs"]
#[expect(
    dead_code,
    reason = "the stage itself is for transcripts; its settings are for all"
)]
mod stage;
#[path = "../engine/theatre.rs"]
#[expect(dead_code, reason = "the properties ask it for more")]
pub mod theatre;
#[path = "../engine/watch.rs"]
pub mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use portcullis::engine::{DataMode, Outcome, Side, TlsMode, TlsPolicy, TlsRequire};

use theatre::{Answer, Fate, Move, Theatre};

/// Longest line of a client here, and longest reply.
const LINE: usize = 512;
const REPLY: usize = 4096;

/// What a session may hold, printed as numbers: both lanes with what was handed in last, one reply, a few values.
const MOST_HELD: usize = 6 * (2 * 8192 + 2 * 8192 + REPLY) + 40_000;

/// Nothing panics, every invariant that can be seen from outside holds, memory is bounded, and the session ends.
pub fn session(data: &[u8]) {
    let data = data.get(..8192).unwrap_or(data);
    let mut lines = data.split(|byte| *byte == b'\n').peekable();
    let mut theatre = match lines.next_if(|line| line.first() == Some(&b'm')) {
        Some(place) => theatre_at(place),
        None => theatre_at(b""),
    };
    for line in lines {
        theatre.act(&read(line));
    }
    let held = format!("{:?}", theatre.session).len();
    assert!(held < MOST_HELD, "{held} bytes, printed");
    theatre.play_out();
}

fn theatre_at(place: &[u8]) -> Theatre {
    let address = |text: &str| text.parse::<SocketAddr>().expect("constant");
    let mut settings = stage::settings();
    (settings.line, settings.reply) = (LINE, REPLY);
    if place.contains(&b'p') {
        settings.data_mode = DataMode::Passive;
    } else if place.contains(&b'a') {
        settings.data_mode = DataMode::Active;
    }
    let mode = |explicit: u8, implicit: u8| {
        if place.contains(&explicit) {
            TlsMode::Explicit
        } else if place.contains(&implicit) {
            TlsMode::Implicit
        } else {
            TlsMode::None
        }
    };
    settings.client_tls.mode = mode(b'e', b'i');
    settings.client_tls.resumed_only = place.contains(&b'o');
    if place.contains(&b'l') {
        settings.client_tls.require = TlsRequire::All;
    }
    settings.upstream_tls.mode = mode(b'E', b'I');
    if place.contains(&b'y') {
        settings.upstream_tls.policy = TlsPolicy::Prefer;
    }
    let facts = match place.contains(&b'6') {
        true => stage::facts(address("[2001:db8::7]:40000"), address("[2001:db8::10]:21")),
        false => stage::facts(address(stage::CLIENT), address(stage::TARGET)),
    };
    let (gateway, upstream) = (address(stage::GATEWAY), address(stage::UPSTREAM));
    let forwardable = place.contains(&b'n');
    let mut theatre = Theatre::new(facts, settings, gateway, upstream, forwardable);
    // A mutation of PASS is no PASS.
    theatre.watch.secret = false;
    theatre
}

fn read(line: &[u8]) -> Move {
    let Some((kind, rest)) = line.split_first() else {
        return Move::Wake;
    };
    let text = rest.strip_prefix(b" ").unwrap_or(rest).to_vec();
    let number = rest.iter().take(4).fold(0, |number, byte| {
        number * 10 + u64::from(byte.saturating_sub(b'0').min(9))
    });
    match kind {
        b'C' => Move::Client([&text, b"\r\n".as_slice()].concat()),
        b'c' => Move::Client(text),
        b'U' => Move::Upstream([&text, b"\r\n".as_slice()].concat()),
        b'u' => Move::Upstream(text),
        b'+' => Move::Answer(Answer::Done),
        b'1' => Move::Answer(Answer::Begun),
        b'-' => Move::Answer(Answer::Refused(rest.first().copied().unwrap_or(0))),
        b'~' => Move::Answer(Answer::Astray),
        b'?' => Move::Consent(rest.first().copied().unwrap_or(0)),
        b'd' | b'D' => Move::Dialled(*kind == b'D'),
        b'o' => Move::Used(Side::Client),
        b'O' => Move::Used(Side::Upstream),
        b'f' => Move::Finished(Outcome::Broken { side: Side::Client }),
        b'F' => Move::Finished(Outcome::Complete),
        b'w' => Move::Wait(Duration::from_secs(number)),
        b'W' => Move::Wake,
        b'x' => Move::Closed(Side::Client),
        b'X' => Move::Closed(Side::Upstream),
        b's' => Move::Stalled(Side::Client),
        b'j' | b'J' => Move::Journal(*kind == b'J'),
        b'r' => Move::Window(false, true),
        b'R' => Move::Window(true, true),
        b'p' => Move::Window(true, false),
        b'h' => Move::Handshakes(Fate::Fails),
        b'H' => Move::Handshakes(Fate::Works),
        b'q' => Move::Handshakes(Fate::Stalls),
        b'Q' => Move::Answered,
        b't' => Move::DataTls(Side::Client, Fate::Works),
        b'T' => Move::DataTls(Side::Upstream, Fate::Works),
        b'k' => Move::Kill,
        b'Z' => Move::Shutdown,
        _ => Move::Client([line, b"\r\n".as_slice()].concat()),
    }
}
