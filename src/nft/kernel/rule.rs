//! Rules in nft's words, each made of the kernel's expressions.
//!
//! The expressions and their order are those that nft itself would choose, so that `nft list` shows what stands in the comments
//! of [`super::table`]. This module must not know what the rules are for.

use super::expression::{Verdict, register};
use super::set::{Breadth, Family, Set};

pub(super) use super::expression::Rule;

// enum nft_meta_keys
const META_LENGTH: u32 = 0;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;

// enum nft_payload_bases
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

// enum nft_ct_keys
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
const CT_MARK: u32 = 3;
const CT_SOURCE_PORT: u32 = 11;
const CT_DESTINATION_PORT: u32 = 12;
const CT_SOURCE: [u32; 2] = [19, 21]; // IPv4, IPv6
const CT_DESTINATION: [u32; 2] = [20, 22];

// enum nft_cmp_ops
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
const LESS_OR_EQUAL: u32 = 3;
const GREATER: u32 = 4;
const GREATER_OR_EQUAL: u32 = 5;

const TCP: u8 = 6; // IPPROTO_TCP

/// A word that no key and no map's value reaches: the longest has nine.
const BESIDE: u32 = 12;

/// NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h
pub(super) const ESTABLISHED: u32 = 0x2;
pub(super) const RELATED: u32 = 0x4;
pub(super) const NEW: u32 = 0x8;
/// IPS_DST_NAT
pub(super) const DESTINATION_CHANGED: u32 = 0x20;

/// What a NAT expression changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Source = 0,
    Destination = 1,
}

impl Rule {
    /// `meta nfproto ipv4`
    pub(super) fn family(self, family: Family) -> Rule {
        let number = match family {
            Family::V4 => 2,  // NFPROTO_IPV4
            Family::V6 => 10, // NFPROTO_IPV6
        };
        self.meta(META_FAMILY).compare(EQUAL, &[number])
    }

    /// `meta l4proto tcp`
    pub(super) fn tcp(self) -> Rule {
        self.meta(META_PROTOCOL).compare(EQUAL, &[TCP])
    }

    /// `tcp flags syn / fin,syn,rst,ack`
    pub(super) fn syn(self) -> Rule {
        self.tcp()
            .payload(TRANSPORT, 13, 1, 0)
            .bitwise(0, &[0x17], &[0])
            .compare(EQUAL, &[0x02])
    }

    /// `tcp dport FROM-TO`
    pub(super) fn destination_port(self, ports: (u16, u16)) -> Rule {
        self.tcp()
            .payload(TRANSPORT, 2, 2, 0)
            .compare(GREATER_OR_EQUAL, &ports.0.to_be_bytes())
            .compare(LESS_OR_EQUAL, &ports.1.to_be_bytes())
    }

    /// `tcp dport @SET`
    pub(super) fn destination_port_in(self, set: Set) -> Rule {
        self.tcp().payload(TRANSPORT, 2, 2, 0).contained(set)
    }

    /// `ip saddr @SET`, of its network if the breadth is not one
    pub(super) fn source_in(self, set: Set, family: Family, breadth: Breadth) -> Rule {
        self.family(family).source(family, breadth).contained(set)
    }

    fn source(self, family: Family, breadth: Breadth) -> Rule {
        let (offset, length) = match family {
            Family::V4 => (12, 4), // RFC 791 section 3.1
            Family::V6 => (8, 16), // RFC 8200 section 3
        };
        let loaded = self.payload(NETWORK, offset, length, 0);
        match (breadth, family) {
            (Breadth::One | Breadth::Any, _) => loaded,
            (Breadth::Near, Family::V4) => loaded.bitwise(0, &NEAR_V4, &[0; 4]),
            (Breadth::Near, Family::V6) => loaded.bitwise(0, &NEAR_V6, &[0; 16]),
        }
    }

    /// Loads `ip saddr . ip daddr . tcp dport` of the packet.
    pub(super) fn packet_key(self, family: Family, breadth: Breadth) -> Rule {
        let rule = self.family(family).tcp();
        let (rule, words) = match breadth {
            Breadth::Any => (rule, 0),
            Breadth::One | Breadth::Near => (rule.source(family, breadth), family.words()),
        };
        let (offset, length) = match family {
            Family::V4 => (16, 4),
            Family::V6 => (24, 16),
        };
        rule.payload(NETWORK, offset, length, words).payload(
            TRANSPORT,
            2,
            2,
            words + family.words(),
        )
    }

    /// Loads `ct original ip saddr . ct original ip daddr . ct original proto-dst`.
    pub(super) fn original_key(self, family: Family, breadth: Breadth) -> Rule {
        let rule = self.tcp();
        let (rule, words) = match (breadth, family) {
            (Breadth::Any, _) => (rule, 0),
            (Breadth::One, _) => (rule.original(of(CT_SOURCE, family), 0), family.words()),
            (Breadth::Near, Family::V4) => (
                rule.original(of(CT_SOURCE, family), 0)
                    .bitwise(0, &NEAR_V4, &[0; 4]),
                family.words(),
            ),
            (Breadth::Near, Family::V6) => (
                rule.original(of(CT_SOURCE, family), 0)
                    .bitwise(0, &NEAR_V6, &[0; 16]),
                family.words(),
            ),
        };
        rule.original(of(CT_DESTINATION, family), words)
            .original(CT_DESTINATION_PORT, words + family.words())
    }

    /// Loads `ct original ip saddr . ct original proto-src . ct original ip daddr . ct original proto-dst`.
    pub(super) fn connection_key(self, family: Family) -> Rule {
        let words = family.words();
        self.tcp()
            .original(of(CT_SOURCE, family), 0)
            .original(CT_SOURCE_PORT, words)
            .original(of(CT_DESTINATION, family), words + 1)
            .original(CT_DESTINATION_PORT, words + 1 + words)
    }

    /// `@SET`: what was loaded is in the set.
    pub(super) fn contained(self, set: Set) -> Rule {
        self.expression("lookup", |data| {
            data.text(1, set.name()).be32(2, register(0)).be32(4, 0);
        })
    }

    /// `map @MAP`: what was loaded becomes the map's value for it.
    pub(super) fn mapped(self, map: Set) -> Rule {
        self.expression("lookup", |data| {
            data.text(1, map.name()).be32(2, register(0));
            data.be32(3, register(0)).be32(4, 0);
        })
    }

    /// `dnat ip to KEY map @MAP`, `snat ip to KEY map @MAP`, of what was [`mapped`](Rule::mapped): with a port if the map has one.
    pub(super) fn change(self, what: Change, family: Family, port: bool) -> Rule {
        let number = match family {
            Family::V4 => 2,
            Family::V6 => 10,
        };
        self.expression("nat", |data| {
            data.be32(1, what as u32).be32(2, number);
            data.be32(3, register(0));
            if port {
                data.be32(5, register(family.words()));
            }
        })
    }

    /// `ct mark & MARK == MARK`
    pub(super) fn marked(self, mark: u32) -> Rule {
        self.tracked(CT_MARK, 0)
            .bitwise(0, &mark.to_ne_bytes(), &[0; 4])
            .compare(EQUAL, &mark.to_ne_bytes())
    }

    /// `ct mark & MARK != MARK`
    pub(super) fn unmarked(self, mark: u32) -> Rule {
        self.tracked(CT_MARK, 0)
            .bitwise(0, &mark.to_ne_bytes(), &[0; 4])
            .compare(UNEQUAL, &mark.to_ne_bytes())
    }

    /// `ct mark set ct mark | MARK`: every other bit stays.
    pub(super) fn mark(self, mark: u32) -> Rule {
        self.tracked(CT_MARK, BESIDE)
            .bitwise(BESIDE, &(!mark).to_ne_bytes(), &mark.to_ne_bytes())
            .expression("ct", |data| {
                data.be32(2, CT_MARK).be32(4, register(BESIDE));
            })
    }

    /// `ct state STATES`
    pub(super) fn state(self, states: u32) -> Rule {
        self.tracked(CT_STATE, 0)
            .bitwise(0, &states.to_ne_bytes(), &[0; 4])
            .compare(UNEQUAL, &[0; 4])
    }

    /// `ct status dnat`
    pub(super) fn status(self, status: u32) -> Rule {
        self.tracked(CT_STATUS, 0)
            .bitwise(0, &status.to_ne_bytes(), &[0; 4])
            .compare(UNEQUAL, &[0; 4])
    }

    /// `meta length > LENGTH`; comparing is done byte by byte, so the machine's number is turned around first.
    pub(super) fn longer_than(self, length: u32) -> Rule {
        self.meta(META_LENGTH)
            .expression("byteorder", |data| {
                data.be32(1, register(0)).be32(2, register(0));
                data.be32(3, 1).be32(4, 4).be32(5, 4); // NFT_BYTEORDER_HTON, four bytes
            })
            .compare(GREATER, &length.to_be_bytes())
    }

    /// `tcp flags set rst`, as nft does it: in the two bytes around the flags, with the checksum.
    pub(super) fn make_reset(self) -> Rule {
        self.tcp()
            .payload(TRANSPORT, 12, 2, 0)
            .bitwise(0, &[0xff, 0x00], &[0x00, 0x04])
            .expression("payload", |data| {
                data.be32(5, register(0)).be32(2, TRANSPORT); // NFTA_PAYLOAD_SREG, BASE
                data.be32(3, 12).be32(4, 2);
                data.be32(6, 1).be32(7, 16); // the internet checksum, at the TCP header's
                data.be32(8, 0);
            })
    }

    /// `limit rate RATE/second burst BURST packets`
    pub(super) fn limit(self, rate: u64, burst: u32) -> Rule {
        self.expression("limit", |data| {
            data.be64(1, rate).be64(2, 1).be32(3, burst);
            data.be32(4, 0).be32(5, 0);
        })
    }

    /// `log prefix PREFIX group GROUP snaplen LENGTH queue-threshold 1`
    pub(super) fn log(self, prefix: &str, group: u16, length: u32) -> Rule {
        self.expression("log", |data| {
            data.text(2, prefix).be16(1, group);
            data.be32(3, length).be16(4, 1);
        })
    }

    /// `counter`
    pub(super) fn counter(self) -> Rule {
        self.expression("counter", |data| {
            data.be64(1, 0).be64(2, 0);
        })
    }

    /// `reject with tcp reset`
    pub(super) fn reject_with_reset(self) -> Rule {
        self.tcp().expression("reject", |data| {
            data.be32(1, 1).bytes(2, &[0]); // NFT_REJECT_TCP_RST
        })
    }

    pub(super) fn accept(self) -> Rule {
        self.verdict(Verdict::Accept)
    }

    pub(super) fn drop_it(self) -> Rule {
        self.verdict(Verdict::Drop)
    }

    pub(super) fn go_back(self) -> Rule {
        self.verdict(Verdict::Return)
    }

    pub(super) fn jump(self, chain: &str) -> Rule {
        self.verdict(Verdict::Jump(chain))
    }

    pub(super) fn go_to(self, chain: &str) -> Rule {
        self.verdict(Verdict::Goto(chain))
    }
}

/// 255.255.255.0 and ffff:ffff:ffff:ffff::
const NEAR_V4: [u8; 4] = [255, 255, 255, 0];
const NEAR_V6: [u8; 16] = [
    255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0,
];

impl Family {
    /// The length of an address in words of 32 bits.
    fn words(self) -> u32 {
        match self {
            Family::V4 => 1,
            Family::V6 => 4,
        }
    }
}

fn of(keys: [u32; 2], family: Family) -> u32 {
    let [v4, v6] = keys;
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}
