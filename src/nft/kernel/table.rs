//! The fixed table: its chains, its rules, and the messages that make all of it.
//!
//! A packet's way: a SYN that a guard set or a map knows gets our bit of the ct mark in prerouting, and where the map says so its
//! destination is changed. The operator's own firewall may then judge it by that bit. Only behind it, right before the
//! connection becomes real, exactly one of them gets through: one that is forwarded by the map of sources, which gives it the
//! source it is to have, one to this host by `take`, which lets all through to a listener that chooses by itself. A SYN that is lost in between has used up nothing.
//! This module must not know sockets or holes.

use std::ffi::{CString, c_void};
use std::ptr;

use nftnl::{Batch, Chain, ChainType, Hook, MsgType, NlMsg, Policy, ProtoFamily, Table};

use super::Layout;
use super::element::{Element, Joined, comment};
use super::error::Error;
use super::message::{CREATE, EXCLUSIVE, Message, Subsystem};
use super::rule::{Change, DESTINATION_CHANGED, ESTABLISHED, NEW, RELATED, Rule};
use super::set::{Breadth, Family, INET, Set};

const NEW_TABLE: u8 = 0;
const DELETE_TABLE: u8 = 2;

/// What the comment of each table of ours begins with; a number of all its contents follows.
pub(super) const SIGNATURE: &str = "made by Portcullis; contents ";

/// What logged packets begin with.
pub(super) const USED: &str = "portcullis used";
const KNOCKED: &str = "portcullis knocked";

/// How much of a packet is told: both IP headers with some options, and TCP's ports.
const TOLD: u32 = 128;

/// How many knocks are told, so that a scan does not keep the broker busy.
const KNOCKS: (u64, u32) = (50, 100);

/// Packets up to this length may be acknowledgements without data: both headers with all their usual options.
const BARE: u32 = 100;

/// A base chain or one that is jumped to.
struct ChainPlan {
    name: &'static str,
    hook: Option<(ChainType, Hook, i32)>,
}

/// The chains. The priorities are nft's `dstnat`, `srcnat` and `filter` less five: before those of a usual table.
const CHAINS: [ChainPlan; 12] = [
    ChainPlan::inner("banned"),
    ChainPlan::inner("admit"),
    ChainPlan::inner("taken"),
    ChainPlan::inner("take"),
    ChainPlan::inner("shut"),
    ChainPlan::inner("ending"),
    ChainPlan::base("prerouting", ChainType::Nat, Hook::PreRouting, -105),
    ChainPlan::base("output", ChainType::Nat, Hook::Out, -105),
    ChainPlan::base("input_nat", ChainType::Nat, Hook::In, 95),
    ChainPlan::base("postrouting", ChainType::Nat, Hook::PostRouting, 95),
    ChainPlan::base("input", ChainType::Filter, Hook::In, -5),
    ChainPlan::base("forward", ChainType::Filter, Hook::Forward, -5),
];

impl ChainPlan {
    const fn inner(name: &'static str) -> ChainPlan {
        ChainPlan { name, hook: None }
    }

    const fn base(name: &'static str, kind: ChainType, hook: Hook, priority: i32) -> ChainPlan {
        ChainPlan {
            name,
            hook: Some((kind, hook, priority)),
        }
    }
}

/// Names of the chains, each with its priority if it is a base chain.
pub(super) fn chains() -> Vec<(&'static str, Option<i32>)> {
    let named = |plan: &ChainPlan| (plan.name, plan.hook.map(|(_, _, priority)| priority));
    CHAINS.iter().map(named).collect()
}

/// All rules, chain by chain in their order.
pub(super) fn rules(layout: &Layout) -> Vec<Rule> {
    let mark = layout.mark;
    let mut rules = Vec::new();
    for family in Family::BOTH {
        for breadth in Breadth::ALL {
            // ip saddr . ip daddr . tcp dport @guard4 ct mark set ct mark | MARK return
            let guard = Set::Guard(family, breadth);
            let rule = Rule::new("admit", guard.name()).packet_key(family, breadth);
            rules.push(rule.contained(guard).mark(mark).go_back());
        }
    }
    // Only first packets come to the chains of type nat, but a stray ACK may look like one (nf_conntrack_tcp_loose).
    for family in Family::BOTH {
        // tcp flags syn / fin,syn,rst,ack ct mark set ct mark | MARK dnat ip to ip saddr . ip daddr . tcp dport map @dnat4
        let map = Set::Dnat(family);
        let rule = Rule::new("prerouting", map.name())
            .syn()
            .packet_key(family, Breadth::One)
            .mapped(map);
        rules.push(rule.mark(mark).change(Change::Destination, family, true));
    }
    // tcp flags syn / fin,syn,rst,ack jump admit
    rules.push(Rule::new("prerouting", "new").syn().jump("admit"));
    // What this host dials to itself is judged here, and comes to prerouting as an old connection.
    rules.push(Rule::new("output", "new").syn().jump("admit"));
    for family in Family::BOTH {
        for breadth in Breadth::ALL {
            // meta l4proto tcp ct original ip saddr . ct original ip daddr . ct original proto-dst @open4 goto taken
            let open = Set::Open(family, breadth);
            let rule = Rule::new("take", open.name())
                .family(family)
                .original_key(family, breadth);
            rules.push(rule.contained(open).go_to("taken"));
        }
    }
    for family in Family::BOTH {
        for breadth in Breadth::ALL {
            // meta l4proto tcp ct original ip saddr . ct original ip daddr . ct original proto-dst @candidates4 accept
            let candidates = Set::Candidates(family, breadth);
            let rule = Rule::new("take", candidates.name())
                .family(family)
                .original_key(family, breadth);
            rules.push(rule.contained(candidates).accept());
        }
    }
    // counter drop
    rules.push(Rule::new("take", "second").counter().drop_it());
    // log prefix "portcullis used" group GROUP snaplen 128 queue-threshold 1
    rules.push(Rule::new("taken", "used").log(USED, layout.group, TOLD));
    // ct mark & MARK == MARK jump take
    rules.push(Rule::new("input_nat", "ours").marked(mark).jump("take"));
    // ct mark & MARK != MARK accept
    rules.push(Rule::new("postrouting", "others").unmarked(mark).accept());
    for family in Family::BOTH {
        for (map, port) in [(Set::Snat(family), false), (Set::SnatPort(family), true)] {
            // log prefix "portcullis used" group GROUP snaplen 128 queue-threshold 1
            // snat ip to ct original ip saddr . ct original ip daddr . ct original proto-dst map @snat4
            let rule = Rule::new("postrouting", map.name())
                .family(family)
                .original_key(family, Breadth::One)
                .mapped(map)
                .log(USED, layout.group, TOLD);
            rules.push(rule.change(Change::Source, family, port));
        }
    }
    // What was to be forwarded is so above or not at all, and takes no relayed pinhole of its peer's: ct status dnat counter drop
    let rule = Rule::new("postrouting", "late").status(DESTINATION_CHANGED);
    rules.push(rule.counter().drop_it());
    // What this host dials to itself: jump take
    rules.push(Rule::new("postrouting", "ours").jump("take"));
    rules.extend(input(layout));
    rules.extend(forward(mark));
    rules
}

/// Bans, and the windows, which are shut but for what a guard let in.
fn input(layout: &Layout) -> Vec<Rule> {
    let mut rules = Vec::new();
    // tcp dport @listeners ct state new jump banned
    let rule = Rule::new("input", "listeners").destination_port_in(Set::Listeners);
    rules.push(rule.state(NEW).jump("banned"));
    for family in Family::BOTH {
        for breadth in [Breadth::One, Breadth::Near] {
            // ip saddr @banned4 counter drop
            let set = Set::Banned(family, breadth);
            let rule = Rule::new("banned", set.name()).source_in(set, family, breadth);
            rules.push(rule.counter().drop_it());
        }
    }
    let windows = [
        ("client window", &layout.client_window),
        ("upstream window", &layout.upstream_window),
    ];
    for (name, window) in windows {
        // tcp dport FROM-TO jump shut
        let rule = Rule::new("input", name).destination_port((*window.start(), *window.end()));
        rules.push(rule.jump("shut"));
    }
    // Also answers to a program of this host that dials from a port of a window.
    // ct state established,related accept
    let rule = Rule::new("shut", "established").state(ESTABLISHED | RELATED);
    rules.push(rule.accept());
    // ct mark & MARK == MARK accept
    rules.push(Rule::new("shut", "ours").marked(layout.mark).accept());
    // limit rate 50/second burst 100 packets log prefix "portcullis knocked" group GROUP+1 snaplen 128 queue-threshold 1
    let rule = Rule::new("shut", "knocked").limit(KNOCKS.0, KNOCKS.1);
    rules.push(rule.log(KNOCKED, layout.group.saturating_add(1), TOLD));
    // counter drop
    rules.push(Rule::new("shut", "everybody else").counter().drop_it());
    rules
}

/// Connections that were killed. Whoever sends next gets a reset. If it is data, the first such packet is made a reset
/// itself and goes on to the receiver: it has the right sequence number, and a receiver that waits in silence would never
/// send anything that could be answered.
fn forward(mark: u32) -> Vec<Rule> {
    // ct mark & MARK != MARK accept
    let mut rules = vec![Rule::new("forward", "others").unmarked(mark).accept()];
    for family in Family::BOTH {
        // ct original ip saddr . ct original proto-src . ct original ip daddr . ct original proto-dst @dead4 jump ending
        let dead = Set::Dead(family);
        let rule = Rule::new("forward", dead.name())
            .family(family)
            .connection_key(family);
        rules.push(rule.contained(dead).jump("ending"));
    }
    for family in Family::BOTH {
        // meta length > 100 KEY @dying4 tcp flags set rst accept
        let dying = Set::Dying(family);
        let rule = Rule::new("ending", dying.name())
            .longer_than(BARE)
            .family(family)
            .connection_key(family);
        rules.push(rule.contained(dying).make_reset().accept());
    }
    // reject with tcp reset
    rules.push(Rule::new("ending", "reset").reject_with_reset());
    rules
}

/// The number of all contents, by which a table of another layout or version is told apart (FNV-1a).
pub(super) fn contents(layout: &Layout) -> String {
    let mut number: u64 = 0xcbf2_9ce4_8422_2325;
    for message in body(layout) {
        for byte in message.as_bytes() {
            number = (number ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    for (name, priority) in chains() {
        for byte in format!("{name} {priority:?}").bytes() {
            number = (number ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{number:016x}")
}

/// Everything but the table itself and its chains.
fn body(layout: &Layout) -> Vec<Message> {
    let table = layout.table.as_str();
    let numbered = Set::all().into_iter().zip(1..);
    let mut messages: Vec<Message> = numbered
        .map(|(set, number)| set.message(table, number, layout.size))
        .collect();
    messages.extend(layout.listeners.iter().map(|port| {
        let port = Element {
            set: Set::Listeners,
            key: Joined::lone_port(*port),
            value: None,
        };
        port.add(table, None, None)
    }));
    messages.extend(rules(layout).iter().map(|rule| rule.message(table)));
    messages
}

/// The batch that makes the table, and first removes one that is `there`; with the number of its last acknowledgement.
///
/// Put together by nftnl, which knows which kernels acknowledge what. In one batch the hooks of the new table are there
/// before those of the old one go, so that connections that run keep their connection tracking.
pub(super) fn installation(layout: &Layout, there: bool) -> Result<(Vec<u8>, u32), Error> {
    let unsuitable = |_| Error::Unsuitable("the table's name holds a NUL");
    let name = CString::new(layout.table.as_str()).map_err(unsuitable)?;
    let mut batch = Batch::new();
    if there {
        batch.add(&Ready(bare(DELETE_TABLE, 0, layout)), MsgType::Del);
    }
    let kind = Subsystem::Tables.kind(NEW_TABLE);
    let new = Message::new(kind, CREATE | EXCLUSIVE, INET, 0, |table| {
        table.text(1, &layout.table); // NFTA_TABLE_NAME
        let contents = contents(layout);
        table.bytes(6, &comment(&format!("{SIGNATURE}{contents}"))); // NFTA_TABLE_USERDATA
    });
    batch.add(&Ready(new.acknowledged()), MsgType::Add);
    let table = Table::new(&name, ProtoFamily::Inet);
    for plan in &CHAINS {
        let name = CString::new(plan.name).map_err(unsuitable)?;
        let mut chain = Chain::new(&name, &table);
        if let Some((kind, hook, priority)) = plan.hook {
            chain.set_hook(hook, priority);
            chain.set_type(kind);
            chain.set_policy(Policy::Accept);
        }
        batch.add(&chain, MsgType::Add);
    }
    for message in body(layout) {
        batch.add(&Ready(message.acknowledged()), MsgType::Add);
    }
    let finished = batch.finalize();
    let last = finished.sequence_numbers().end.saturating_sub(1);
    Ok((finished.iter().flatten().copied().collect(), last))
}

/// A message about the table that names it and no more.
pub(super) fn bare(kind: u8, flags: u16, layout: &Layout) -> Message {
    Message::new(Subsystem::Tables.kind(kind), flags, INET, 0, |table| {
        table.text(1, &layout.table); // NFTA_TABLE_NAME, and the same number in messages about chains, rules and sets
    })
}

/// A message of ours in nftnl's batch.
struct Ready(Message);

#[expect(
    unsafe_code,
    reason = "nftnl hands out the place in its batch as a pointer"
)]
// SAFETY: what is written is one whole netlink message.
unsafe impl NlMsg for Ready {
    unsafe fn write(&self, place: *mut c_void, sequence: u32, _: MsgType) {
        let mut message = self.0.clone();
        let bytes = message.numbered(sequence);
        // SAFETY: nftnl reserves `nft_nlmsg_maxsize` bytes (more than 64 KiB) behind `place`, and no message of this
        // module is near that: its attributes have lengths of 16 bits.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), bytes.len()) };
    }
}
