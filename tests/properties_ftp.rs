//! Properties of the control connection's language, over inputs that are made to be of its kind.
//!
//! What holds for any bytes at all is in `fuzz/bodies.rs`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use portcullis::ftp::address::{
    AddressFault, eprt_argument, parse_227, parse_229, parse_eprt, parse_port, port_argument,
    reply_227, reply_229,
};
use portcullis::ftp::feature::{feature_verb, filter_feat};
use portcullis::ftp::{
    BareLf, Command, FrameFault, Line, LineFramer, Reply, ReplyAssembler, ReplyFault, Verb,
    escaped_to, masked,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Makes the pieces that streams are interesting in.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        select(vec![
            b"\r\n".as_slice(),
            b"\n",
            b"\r",
            b"\0",
            b"\xFF",
            b"\xFF\xFF",
            b"\xFF\xF4\xFF\xF2",
            b"\xFF\xFB",
            b"\xFF\xFA",
            b"\xFF\xF0",
            b"NOOP\r\n",
            b"200 x\r\n",
            b"211-",
        ])
        .prop_map(<[u8]>::to_vec),
        vec(any::<u8>(), 0..12),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..24).prop_map(|pieces| pieces.concat())
}

/// Makes what a verb or a name may be written with.
fn text() -> impl Strategy<Value = Vec<u8>> {
    vec(
        any::<u8>().prop_filter("no byte of its own meaning", |byte| {
            !matches!(byte, b'\r' | b'\n' | 0 | 0xFF)
        }),
        0..40,
    )
}

fn verb() -> impl Strategy<Value = Verb> {
    select(Verb::ALL).prop_filter("a verb of FTP", |verb| verb.foreign_protocol().is_none())
}

/// Makes a verb in mixed case.
fn spelt() -> impl Strategy<Value = (Verb, Vec<u8>)> {
    (verb(), any::<u32>()).prop_map(|(verb, cases)| {
        let letters = verb.name().bytes().enumerate();
        (
            verb,
            letters
                .map(|(at, byte)| {
                    if cases >> at & 1 == 1 {
                        byte.to_ascii_lowercase()
                    } else {
                        byte
                    }
                })
                .collect(),
        )
    })
}

fn framed(input: &[u8]) -> Vec<Line> {
    let mut framer = LineFramer::new(1 << 16);
    framer.push(input);
    let lines = std::iter::from_fn(|| framer.next_line())
        .collect::<Result<_, _>>()
        .expect("bounded lines");
    assert_eq!(framer.pending(), 0, "an unfinished line");
    lines
}

fn assembled(input: &[u8]) -> Result<Vec<Reply>, ReplyFault> {
    let mut assembler = ReplyAssembler::new(1 << 16, 1 << 10);
    let replies = framed(input)
        .into_iter()
        .filter_map(|line| assembler.push(line).transpose())
        .collect();
    assert!(assembler.is_idle(), "an unfinished reply");
    replies
}

proptest! {
    #[test]
    fn framing_does_not_depend_on_how_the_bytes_arrive(
        (input, cuts) in stream().prop_flat_map(|input| {
            let places: Vec<usize> = (0..=input.len()).collect();
            (Just(input), subsequence(places.clone(), 0..=places.len()))
        }),
        limit in 4_usize..40,
        pulls in any::<u64>(),
    ) {
        let take = |framer: &mut LineFramer, lines: &mut Vec<Result<Line, FrameFault>>| {
            while let Some(line) = framer.next_line() {
                if lines.last().is_none_or(Result::is_ok) {
                    lines.push(line);
                }
                if lines.last().is_some_and(Result::is_err) {
                    break;
                }
            }
        };
        let mut whole = Vec::new();
        let mut framer = LineFramer::new(limit);
        framer.push(&input);
        take(&mut framer, &mut whole);

        let mut parts = Vec::new();
        let mut framer = LineFramer::new(limit);
        let mut from = 0;
        for (at, cut) in cuts.iter().copied().chain([input.len()]).enumerate() {
            let mut chunk = &input[from..cut];
            from = cut;
            if pulls >> (at % 64) & 1 == 1
                && let Some(line) = framer.pull(&mut chunk)
                && parts.last().is_none_or(Result::is_ok)
            {
                parts.push(line);
            }
            framer.push(chunk);
            prop_assert!(framer.pending() <= input.len());
            if pulls >> (at % 61) & 2 == 2 {
                take(&mut framer, &mut parts);
                prop_assert!(framer.pending() <= limit);
            }
        }
        take(&mut framer, &mut parts);
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn a_command_leaves_byte_identical((verb, spelling) in spelt(), argument in proptest::option::of(text())) {
        let mut sent = spelling.clone();
        if let Some(argument) = &argument {
            sent.push(b' ');
            sent.extend(argument);
        }
        sent.extend(b"\r\n");
        let [line] = framed(&sent).try_into().expect("one line");
        let command = Command::parse(line, BareLf::Refuse).expect("a command");
        prop_assert_eq!(command.verb, verb);
        prop_assert_eq!(command.verb_text(), spelling);
        prop_assert_eq!(command.argument(), argument.as_deref());
        prop_assert_eq!(command.into_emitted(), sent);
    }

    #[test]
    fn no_argument_makes_a_second_command(verb in verb(), argument in stream()) {
        let lines = framed(&Command::new(verb, Some(&argument)).emit());
        prop_assert_eq!(lines.len(), 1);
        prop_assert!(lines.iter().all(|line| !line.stray_cr && !line.nul));
    }

    #[test]
    fn a_password_never_shows(
        spelling in select(vec!["PASS", "pass", "Acct", "ADAT", "SITE PSWD", "site  passwd"]),
        before in select(vec!["", " ", "\t", "\0", "\r", "NOOP\r", "NOOP\0 "]),
        between in select(vec![" ", "  ", "\t", "\0", "\r", "\u{1}"]),
        secret in "[!-~]{6,20}",
    ) {
        let line = format!("{before}{spelling}{between}{secret}");
        prop_assert!(!masked(line.as_bytes()).to_string().contains(&secret));
    }

    #[test]
    fn replies_of_ours_are_read_back_as_they_are(
        code in 100_u16..600,
        first in ".*",
        inner in vec(prop_oneof![text(), (100_u16..600, "[ -]?.{0,9}").prop_map(|(code, rest)| format!("{code}{rest}").into_bytes())], 0..6),
        last in ".*",
    ) {
        for reply in [Reply::new(code, &last), Reply::multi(code, &first, &inner, &last)] {
            prop_assert_eq!(assembled(&reply.emit()), Ok(vec![reply]));
        }
    }

    #[test]
    fn only_the_last_line_ends_a_multi_line_reply(
        code in 100_u16..600,
        inner in vec(prop_oneof![
            text(),
            (100_u16..600, select(vec!["", " x", "-x", "x"])).prop_map(|(code, rest)| format!("{code}{rest}").into_bytes()),
        ], 0..8),
        alone: bool,
    ) {
        let end = if alone { code.to_string() } else { format!("{code} end") };
        let ends = |line: &Vec<u8>| *line == code.to_string().as_bytes() || line.starts_with(format!("{code} ").as_bytes());
        prop_assume!(!inner.iter().any(ends));
        let mut sent = format!("{code}-\r\n").into_bytes();
        inner.iter().for_each(|line| sent.extend([line.as_slice(), b"\r\n"].concat()));
        sent.extend(format!("{end}\r\n").bytes());
        let replies = assembled(&[sent.as_slice(), b"200 next\r\n"].concat()).expect("two replies");
        prop_assert_eq!(replies.len(), 2);
        prop_assert_eq!(replies[0].as_bytes(), sent);
        prop_assert_eq!(replies[0].final_line(), end.as_bytes());
    }

    #[test]
    fn addresses_leave_in_one_form_that_reads_as_the_same(ip: IpAddr, port in 1_u16..) {
        let address = SocketAddr::new(ip.to_canonical(), port);
        prop_assert_eq!(parse_eprt(eprt_argument(SocketAddr::new(ip, port)).as_bytes()), Ok(address));
        prop_assert_eq!(parse_229(reply_229(port).final_text()), Ok(port));
        if let SocketAddr::V4(address) = address {
            prop_assert_eq!(parse_port(port_argument(address).as_bytes()), Ok(address));
            prop_assert_eq!(parse_227(reply_227(address).final_text()), Ok(address));
        }
    }

    #[test]
    fn numbers_never_wrap_around(fields in vec(prop_oneof![0_u64..256, any::<u64>()], 4..8)) {
        let text = fields.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let bytes: Option<Vec<u8>> = fields.iter().map(|field| u8::try_from(*field).ok()).collect();
        let expected = match bytes.as_deref() {
            Some([.., 0, 0]) => Err(AddressFault::Malformed),
            Some([a, b, c, d, high, low]) => {
                Ok(SocketAddrV4::new(Ipv4Addr::new(*a, *b, *c, *d), u16::from_be_bytes([*high, *low])))
            }
            _ => Err(AddressFault::Malformed),
        };
        prop_assert_eq!(parse_port(text.as_bytes()), expected);
        prop_assert_eq!(parse_227(text.as_bytes()), expected);
        prop_assert_eq!(parse_227(format!("Entering Passive Mode ({text}).").as_bytes()), expected);
    }

    #[test]
    fn ports_in_eprt_and_229_never_wrap_around(port: u64) {
        let expected = u16::try_from(port).ok().filter(|port| *port != 0);
        let eprt = parse_eprt(format!("|1|198.51.100.7|{port}|").as_bytes());
        prop_assert_eq!(eprt.map(|address| address.port()).ok(), expected);
        prop_assert_eq!(parse_229(format!("Entering (|||{port}|)").as_bytes()).ok(), expected);
    }

    #[test]
    fn any_delimiter_but_a_digit_is_read_in_eprt_and_229(delimiter: u8, port in 1_u16..) {
        let with = |text: String| text.bytes().map(|byte| if byte == b'|' { delimiter } else { byte }).collect::<Vec<_>>();
        let allowed = (33..=126).contains(&delimiter) && !delimiter.is_ascii_digit();
        let eprt = parse_eprt(&with(format!("|1|198.51.100.7|{port}|")));
        prop_assert_eq!(eprt.is_ok(), allowed && delimiter != b'.');
        prop_assert_eq!(parse_229(&with(format!("(|||{port}|)"))).is_ok(), allowed);
    }

    #[test]
    fn a_filtered_feature_list_is_the_rest_of_the_upstreams_own(
        features in vec(select(vec![" AUTH TLS", " EPSV", "  UTF8", " MLST size*;", "211-EPSV", "", " TVFS"]), 0..8),
    ) {
        let mut sent = vec!["211-Features"];
        sent.extend(&features);
        sent.push("211 End");
        let [reply] = assembled((sent.join("\r\n") + "\r\n").as_bytes()).expect("a reply").try_into().expect("one reply");
        let filtered = filter_feat(&reply, |feature| feature_verb(feature) != Verb::Epsv);
        let expected: Vec<_> = sent.iter().filter(|line| !line.ends_with("EPSV")).map(|line| line.as_bytes()).collect();
        prop_assert_eq!(filtered.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_printed_obeys_its_bound(bytes: Vec<u8>, max in 0_usize..60) {
        let printed = escaped_to(&bytes, max).to_string();
        prop_assert!(printed.len() <= max + '…'.len_utf8());
        prop_assert!(!printed.contains(char::is_control));
    }
}
