//! The layout of messages: what is written reads back, and what nobody wrote is refused.

use std::time::Duration;

use portcullis::nft::message::{
    Answer, Handed, Keep, Notice, Page, Reason, Report, Request, said_where, say_where,
};
use portcullis::nft::{
    Admits, FirewallHole, FlowState, FlowUsage, Happening, HoleKey, Opening, Settled,
};

use crate::bounds::at as address;

fn requests() -> Vec<Request> {
    let at = |text: &str| text.parse().expect("an address");
    let hole = |opening| FirewallHole {
        key: HoleKey(0x0102_0304_0506),
        opening,
        ttl: Duration::from_millis(32_001),
    };
    let key = HoleKey(7);
    vec![
        Request::Open(hole(Opening::Forward {
            peer: "203.0.113.9".parse().expect("an address"),
            at: at("198.51.100.1:21003"),
            to: at("192.0.2.7:50000"),
            source: Some(at("192.0.2.1:0")),
        })),
        Request::Open(hole(Opening::Forward {
            peer: "2001:db8::9".parse().expect("an address"),
            at: at("[2001:db8:1::1]:21003"),
            to: at("[2001:db8:2::7]:50000"),
            source: None,
        })),
        Request::Open(hole(Opening::Relay {
            peer: "203.0.113.0/24".parse().expect("a network"),
            at: at("198.51.100.1:21003"),
            admits: Admits::One,
        })),
        Request::Open(hole(Opening::Relay {
            peer: "::/0".parse().expect("a network"),
            at: at("[2001:db8:1::1]:21003"),
            admits: Admits::Several,
        })),
        Request::Renew {
            key,
            ttl: Duration::from_secs(3),
        },
        Request::Usage(key),
        Request::Kill(key),
        Request::Close(key),
        Request::Settle(key),
        Request::Ban {
            network: "2001:db8::/64".parse().expect("a network"),
            ttl: Duration::from_secs(900),
        },
        Request::Unban("203.0.113.9/32".parse().expect("a network")),
        Request::Dialler {
            from: at("[fe80::1%3]:20"),
        },
        Request::Reread,
        Request::Keep(Keep::Open),
        Request::Keep(Keep::PutAside {
            device: 1 << 40,
            inode: 77,
        }),
        Request::Keep(Keep::Expire),
    ]
}

fn answers() -> Vec<Answer> {
    let usage = |state| FlowUsage {
        wire_bytes_from_peer: 1,
        packets_from_peer: 2,
        wire_bytes_to_peer: u64::MAX,
        packets_to_peer: 4,
        state,
    };
    let mut all = vec![
        Answer::Done,
        Answer::Usage(None),
        Answer::Settled(Settled {
            by: None,
            usage: None,
        }),
        Answer::Settled(Settled {
            by: Some(address("[2001:db8::7]:41000")),
            usage: Some(usage(FlowState::Over)),
        }),
        Answer::Opened {
            torn: true,
            shared: false,
        },
        Answer::Opened {
            torn: false,
            shared: true,
        },
    ];
    for state in [
        FlowState::Opening,
        FlowState::Open,
        FlowState::Ending,
        FlowState::Over,
    ] {
        all.push(Answer::Usage(Some(usage(state))));
    }
    for reason in [
        Reason::PortOutsideWindow,
        Reason::AddressNotOurs,
        Reason::PeerNotPermitted,
        Reason::DestinationNotPermitted,
        Reason::SourceNotPermitted,
        Reason::FamiliesDiffer,
        Reason::LastsTooLong,
        Reason::TooMany,
        Reason::KeyTaken,
        Reason::NoSuchHole,
        Reason::NotBannable,
        Reason::Config,
        Reason::Kernel(28),
    ] {
        all.push(Answer::Refused(reason));
    }
    all
}

fn notices() -> Vec<Notice> {
    let at = |text: &str| text.parse().expect("an address");
    let mut all = vec![
        Notice::Complete,
        Notice::Happened(Happening::Used {
            key: HoleKey(7),
            peer: at("203.0.113.9:4000"),
        }),
        Notice::Happened(Happening::Knocked {
            from: at("[2001:db8::9]:4000"),
            at: at("[2001:db8:1::1]:21000"),
            more: 70_000,
        }),
        Notice::Happened(Happening::Restored),
        Notice::Drain,
        Notice::End,
        Notice::Reload,
    ];
    let handed = [
        Handed::Bundle,
        Handed::Listener,
        Handed::Control,
        Handed::Requests,
        Handed::Names,
    ];
    all.extend(handed.map(Notice::Handed));
    all
}

fn reports() -> Vec<Report> {
    vec![
        Report::Ready,
        Report::Reloaded { in_force: true },
        Report::Reloaded { in_force: false },
        Report::Stopping,
    ]
}

/// Every message as a page.
fn pages() -> Vec<Page> {
    let mut pages: Vec<Page> = requests().iter().map(|one| one.emit(9)).collect();
    pages.extend(answers().iter().map(|one| one.emit(u32::MAX)));
    pages.extend(notices().iter().map(Notice::emit));
    pages.extend(reports().iter().map(Report::emit));
    pages
}

/// How many kinds of message a page is.
fn read(page: &Page) -> usize {
    [
        Request::parse(page).is_ok(),
        Answer::parse(page).is_ok(),
        Notice::parse(page).is_ok(),
        Report::parse(page).is_ok(),
    ]
    .into_iter()
    .filter(|read| *read)
    .count()
}

#[test]
fn what_is_written_reads_back() {
    for request in requests() {
        assert_eq!(Request::parse(&request.emit(9)), Ok((9, request)));
    }
    for answer in answers() {
        assert_eq!(
            Answer::parse(&answer.emit(u32::MAX)),
            Ok((u32::MAX, answer))
        );
    }
    for notice in notices() {
        assert_eq!(Notice::parse(&notice.emit()), Ok(notice));
    }
    for report in reports() {
        assert_eq!(Report::parse(&report.emit()), Ok(report));
    }
}

#[test]
fn no_two_messages_look_alike_and_none_reads_as_another_kind() {
    let pages = pages();
    for (index, page) in pages.iter().enumerate() {
        assert_eq!(read(page), 1);
        assert!(pages.iter().skip(index + 1).all(|other| other != page));
    }
}

/// Nothing can hide in a page: a byte that its kind does not have must be 0.
#[test]
fn a_byte_too_many_is_refused() {
    for page in pages() {
        for last in [127, 126] {
            let mut page = page;
            page[last] = 1;
            assert_eq!(read(&page), 0);
        }
        let mut another = page;
        another[0] ^= 1;
        assert_eq!(read(&another), 0, "version");
        let mut placed = page;
        placed[3] = 1;
        // Only whoever asks comes from somewhere.
        assert_eq!(read(&placed), usize::from(page[1] == b'Q'));
    }
}

#[test]
fn a_request_says_where_it_comes_from_and_nothing_else_by_that() {
    for request in requests() {
        let mut page = request.emit(9);
        assert_eq!(said_where(&page), None);
        for processor in [0, 1, 254] {
            say_where(&mut page, processor);
            assert_eq!(said_where(&page), Some(processor));
            assert_eq!(Request::parse(&page), Ok((9, request)));
        }
        let before = page;
        say_where(&mut page, 255);
        assert_eq!(page, before, "no room for it");
    }
}

/// Writes the corpus of the fuzz body anew: `PORTCULLIS_BLESS=1 cargo test --test broker corpus`.
#[test]
fn the_fuzz_corpus_holds_every_message() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/messages");
    for (index, page) in pages().iter().enumerate() {
        let path = folder.join(format!("{index:02}"));
        if std::env::var_os("PORTCULLIS_BLESS").is_some() {
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(&path, page).expect("written");
        }
        let seed = std::fs::read(&path).expect("a seed");
        assert_eq!(seed, page, "{}", path.display());
    }
}
