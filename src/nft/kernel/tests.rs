//! The kernel half without a kernel: what is composed, what is read, and how an answer is understood.

use std::net::SocketAddr;

use rustix::io::Errno;

use super::channel::refused;
use super::element::{Joined, comment, commented, standing};
use super::error::Error;
use super::hole::{elements, may_be_awaited, plain};
use super::message::{
    Attributes, Message, Saying, Subsystem, answers, attribute, be32, nested, string,
};
use super::set::{Family, Set};
use crate::nft::{Admits, Opening};

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn forward(peer: &str, ours: &str, to: &str, source: Option<&str>) -> Opening {
    Opening::Forward {
        peer: peer.parse().unwrap(),
        at: at(ours),
        to: at(to),
        source: source.map(at),
    }
}

#[test]
fn nested_attributes_are_read_as_they_were_written() {
    let mut written = Attributes::default();
    written.text(1, "portcullis").nest(2, |inner| {
        inner.be32(1, 7).nest(3, |innermost| {
            innermost.bytes(9, &[1, 2, 3]);
        });
    });
    let bytes = written.as_bytes();
    assert_eq!(
        attribute(bytes, 1).map(string).as_deref(),
        Some("portcullis")
    );
    assert_eq!(nested(bytes, &[2, 1]).and_then(be32), Some(7));
    assert_eq!(nested(bytes, &[2, 3, 9]), Some(&[1, 2, 3][..]));
    assert_eq!(nested(bytes, &[2, 4]), None);
    assert_eq!(bytes.len() % 4, 0);
}

/// What the kernel answers to a message, with its words behind the request, whole or without its body.
fn refusal(errno: i32, request: &Message, capped: bool, words: &str) -> Vec<u8> {
    let mut body = (-errno).to_ne_bytes().to_vec();
    let whole = request.as_bytes();
    body.extend_from_slice(if capped { &whole[..16] } else { whole });
    let mut text = Attributes::default();
    text.text(1, words);
    body.extend_from_slice(text.as_bytes());
    let mut answer = u32::try_from(16 + body.len())
        .unwrap()
        .to_ne_bytes()
        .to_vec();
    answer.extend_from_slice(&2_u16.to_ne_bytes());
    let flags: u16 = 0x200 | if capped { 0x100 } else { 0 };
    answer.extend_from_slice(&flags.to_ne_bytes());
    answer.extend_from_slice(&5_u32.to_ne_bytes());
    answer.extend_from_slice(&[0; 4]);
    answer.extend_from_slice(&body);
    answer
}

#[test]
fn a_refusal_has_the_kernels_words() {
    let request = Message::new(Subsystem::Tables.kind(0), 0, 1, 0, |table| {
        table.text(1, "portcullis");
    });
    for capped in [true, false] {
        let bytes = refusal(17, &request, capped, "Table exists already");
        let answer = answers(&bytes).next().unwrap();
        assert_eq!(answer.sequence, 5);
        let words = Some("Table exists already".to_owned());
        assert_eq!(answer.saying(), Saying::Refused(17, words));
    }
}

/// Every answer with any one byte changed, and every part of one, is read without harm.
#[test]
fn damaged_answers_are_read_within_their_bounds() {
    let request = Message::new(Subsystem::Tables.kind(12), 0, 1, 0, |list| {
        list.nest(3, |elements| {
            elements.nest(1, |element| {
                element.nest(1, |key| {
                    key.bytes(1, &[1, 2, 3, 4]);
                });
                element.bytes(6, &comment("gateway 7")).be64(5, 1000);
            });
        });
    });
    let mut seeds = vec![request.as_bytes().to_vec()];
    seeds.push(refusal(2, &request, false, "words"));
    for seed in seeds {
        for place in 0..seed.len() {
            for value in [0, 1, 3, 4, 7, 0x7f, 0x80, 0xff] {
                let mut damaged = seed.clone();
                damaged[place] = value;
                for bytes in [&damaged[..], &damaged[..place]] {
                    for answer in answers(bytes) {
                        if let Saying::Told(attributes) = answer.saying() {
                            standing(Set::Dnat(Family::V4), attributes, &mut Vec::new());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn an_element_is_read_back_with_its_owner() {
    let opening = forward("192.0.2.9", "198.51.100.1:21000", "10.0.0.5:5000", None);
    let element = elements(&opening).unwrap().remove(0);
    let ttl = std::time::Duration::from_secs(30);
    let message = element.add("portcullis", Some(ttl), Some(42));
    let answer = answers(message.as_bytes()).next().unwrap();
    let Saying::Told(attributes) = answer.saying() else {
        panic!("{answer:?}");
    };
    let mut found = Vec::new();
    standing(element.set, attributes, &mut found);
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].element, found[0].owner), (&element, Some(42)));
    assert!(!found[0].spent);
    assert_eq!(commented(&comment("x")).as_deref(), Some("x"));
}

#[test]
fn the_kernels_errno_is_understood() {
    let of = |errno| refused("trying", errno, None).by_kind();
    assert!(matches!(of(Errno::PERM), Error::NotPermitted(_)));
    assert!(matches!(of(Errno::NFILE), Error::Full(_)));
    assert!(matches!(of(Errno::NOSPC), Error::Full(_)));
    assert!(matches!(of(Errno::EXIST), Error::Exists(_)));
    assert!(matches!(of(Errno::NOENT), Error::Gone(_)));
    assert!(matches!(of(Errno::NOBUFS), Error::Kernel(_)));
    let exit = |errno| refused("trying", errno, None).at_start().exit_code();
    assert_eq!(exit(Errno::PERM), 77);
    assert_eq!(exit(Errno::OPNOTSUPP), 69);
    // An expression that the kernel does not know.
    assert_eq!(exit(Errno::NOENT), 69);
    // A netfilter subsystem that it does not have.
    assert_eq!(exit(Errno::INVAL), 69);
    assert_eq!(exit(Errno::NOMEM), 1);
    let words = Some("No such file".to_owned());
    let told = refused("opening a pinhole", Errno::NOBUFS, words).to_string();
    assert!(
        told.starts_with("opening a pinhole: No buffer space"),
        "{told}"
    );
    assert!(told.ends_with("(kernel: No such file)"), "{told}");
}

#[test]
fn a_forwarded_hole_has_two_elements_and_always_a_source() {
    let sets = |opening: &Opening| -> Vec<Set> {
        let elements = elements(opening).unwrap();
        elements.iter().map(|element| element.set).collect()
    };
    let v4 = Family::V4;
    let opening = |source| forward("192.0.2.9", "198.51.100.1:21000", "10.0.0.5:5000", source);
    assert_eq!(sets(&opening(None)), [Set::Dnat(v4), Set::Snat(v4)]);
    assert_eq!(sets(&opening(Some("10.0.0.1:0")))[1], Set::Snat(v4));
    assert_eq!(sets(&opening(Some("10.0.0.1:20")))[1], Set::SnatPort(v4));
    let kept = elements(&opening(None)).unwrap().remove(1);
    let peer = Joined::default().address("192.0.2.9".parse().unwrap());
    assert_eq!(kept.value, Some(peer));
}

#[test]
fn what_does_not_fit_together_is_refused_before_the_kernel_is_asked() {
    let (ours, to) = ("198.51.100.1:21000", "10.0.0.5:5000");
    for wrong in [
        forward("2001:db8::9", ours, to, None),
        forward("192.0.2.9", ours, "[2001:db8::5]:5000", None),
        forward("192.0.2.9", ours, to, Some("[2001:db8::1]:0")),
        forward("192.0.2.9", "0.0.0.0:21000", to, None),
        forward("192.0.2.9", ours, "10.0.0.5:0", None),
        Opening::Relay {
            peer: "2001:db8::/64".parse().unwrap(),
            at: at(ours),
            admits: Admits::One,
        },
        Opening::Relay {
            peer: "0.0.0.0/0".parse().unwrap(),
            at: at("0.0.0.0:21000"),
            admits: Admits::One,
        },
    ] {
        assert!(
            matches!(plain(wrong), Err(Error::Unsuitable(_))),
            "{wrong:?}"
        );
    }
    let narrow = Opening::Relay {
        peer: "192.0.2.0/25".parse().unwrap(),
        at: at(ours),
        admits: Admits::One,
    };
    assert!(elements(&plain(narrow).unwrap()).is_err());
    // An IPv4 address in an IPv6 one is that IPv4 address.
    let mapped = forward("::ffff:192.0.2.9", "[::ffff:198.51.100.1]:21000", to, None);
    assert_eq!(plain(mapped).unwrap(), forward("192.0.2.9", ours, to, None));
}

#[test]
fn a_packet_is_awaited_by_its_address_first_and_by_everybody_last() {
    let to = at("198.51.100.1:21000");
    let awaited = may_be_awaited("192.0.2.9".parse().unwrap(), to);
    let networks = awaited.map(|(network, _)| network.to_string());
    assert_eq!(networks, ["192.0.2.9/32", "192.0.2.0/24", "0.0.0.0/0"]);
    let awaited = may_be_awaited("2001:db8:1:2::9".parse().unwrap(), to);
    let networks = awaited.map(|(network, _)| network.to_string());
    assert_eq!(
        networks,
        ["2001:db8:1:2::9/128", "2001:db8:1:2::/64", "::/0"]
    );
}
