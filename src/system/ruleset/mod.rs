//! The rules of everybody's firewalls, as far as they decide about our connections.
//!
//! What can't be judged from outside (a source address, an interface, a set's elements) is [`Match::Unknown`], and an
//! answer that hangs on it is said to be doubtful. This module reads and judges; it must not change a rule.

mod iptables;
mod nft;
mod walk;

use std::ops::RangeInclusive;

pub use iptables::parse as parse_iptables;
pub use nft::parse as parse_nft;
pub use walk::{Answer, Packet, State};

/// Every table that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The tables, nftables' own first.
    pub tables: Vec<Table>,
}

/// With which program a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// nft(8).
    Nft,
    /// iptables(8), on nftables or on its own tables; the program that reads this family, such as `iptables` or `ip6tables-legacy`.
    Iptables(&'static str),
}

/// To which packets a table belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
}

impl Family {
    /// Returns nft's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
        }
    }

    /// Tells whether packets of IPv6 (or IPv4) come here.
    #[must_use]
    pub fn has(self, v6: bool) -> bool {
        match self {
            Self::Ip => !v6,
            Self::Ip6 => v6,
            Self::Inet => true,
        }
    }
}

/// A table and its chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Whose rules these are.
    pub tool: Tool,
    /// Its packets.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// Its chains.
    pub chains: Vec<Chain>,
    /// Whether its comment says that we made it.
    pub ours: bool,
    /// The names of its objects that assign the kernel's FTP helper.
    pub ftp_helpers: Vec<String>,
}

impl Table {
    /// Tells whether it is called as the gateway's own table is.
    #[must_use]
    pub fn has_our_name(&self) -> bool {
        self.family == Family::Inet && self.name == super::TABLE
    }

    /// Tells whether iptables wrote this table through nftables: nft shows its rules as opaque.
    #[must_use]
    pub fn is_of_iptables(&self, family: Family) -> bool {
        let capitals = |chain: &Chain| chain.name.bytes().all(|b| b.is_ascii_uppercase());
        let known = ["filter", "nat", "mangle", "raw", "security"].contains(&self.name.as_str());
        self.family == family
            && known
            && self
                .chains
                .iter()
                .any(|chain| chain.base.is_some() && capitals(chain))
    }

    /// Returns its base chains at a hook where packets may fall.
    pub fn filters(&self, hook: Hook) -> impl Iterator<Item = &Chain> {
        let fits = move |chain: &&Chain| {
            chain
                .base
                .is_some_and(|base| base.hook == hook && base.filters)
        };
        self.chains.iter().filter(fits)
    }

    /// Finds a chain.
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }
}

/// Where packets come from into a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// To this machine.
    Input,
    /// Through it.
    Forward,
    /// From it.
    Output,
    /// After routing.
    Postrouting,
}

impl Hook {
    /// Returns the kernel's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [
            Self::Prerouting,
            Self::Input,
            Self::Forward,
            Self::Output,
            Self::Postrouting,
        ]
        .into_iter()
        .find(|hook| hook.word().eq_ignore_ascii_case(word))
    }
}

/// What makes a chain a beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// Where.
    pub hook: Hook,
    /// Whether it may let packets fall (a nat chain sees only a connection's first packet, and its verdict is about that).
    pub filters: bool,
    /// Whether its policy is to drop.
    pub drops: bool,
}

/// A chain and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// What makes it a beginning; none where it is only jumped to.
    pub base: Option<Base>,
    /// Its rules in order.
    pub rules: Vec<Rule>,
}

/// One rule, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// nft's handle, where nft has one.
    pub handle: Option<u64>,
    /// The rule as iptables writes it, behind `-A CHAIN`.
    pub text: String,
    /// What a packet has to be; all of it.
    pub matches: Vec<Match>,
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// What else the rule does.
    pub effects: Vec<Effect>,
}

/// What a packet has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// In one of these states of its connection.
    State(Vec<State>),
    /// In none of these.
    NotState(Vec<State>),
    /// With a connection mark that, masked, is (or is not) this.
    Mark {
        /// Which bits count.
        mask: u32,
        /// What they are.
        value: u32,
        /// Whether they must differ instead.
        not: bool,
    },
    /// Towards one of these ports (or none of them), or from one.
    Port {
        /// Whether the port that the packet comes from is meant.
        source: bool,
        /// The ports.
        ports: Vec<RangeInclusive<u16>>,
        /// Whether it must be another instead.
        not: bool,
    },
    /// Of a connection whose destination was translated (or was not).
    Translated(bool),
    /// Of IPv6 (or IPv4).
    V6(bool),
    /// Through loopback or a bridge to containers or virtual machines (or anything else): neither clients nor upstreams are there.
    Inner(bool),
    /// To an address of this machine (or of another).
    Local(bool),
    /// Never one of ours.
    Never,
    /// Something that can't be judged from outside.
    Unknown,
}

/// Tells by its name whether an interface leads to what runs inside this machine: loopback, and the bridges of Docker, CNI,
/// Calico, LXC and libvirt with their ends.
fn is_inner(interface: &str) -> bool {
    let bridges = [
        "docker", "br-", "veth", "cni", "cali", "lxc", "lxd", "virbr", "vnet", "podman",
    ];
    interface == "lo" || bridges.iter().any(|prefix| interface.starts_with(prefix))
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verdict {
    /// It goes on to the next rule.
    #[default]
    Next,
    /// This chain and its callers are done with it.
    Accept,
    /// It falls, with or without an answer.
    Drop,
    /// It goes through another chain and comes back.
    Jump(String),
    /// It goes through another chain for good.
    Goto(String),
    /// It goes back to the calling chain.
    Return,
    /// By the state of its connection.
    ByState(Vec<(State, Verdict)>),
    /// What can't be judged.
    Unknown,
}

/// What a rule does besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Connection tracking passes the packet over.
    Untracked,
    /// The kernel's FTP helper is assigned.
    FtpHelper,
    /// The maximum segment size is clamped.
    ClampsSegments,
    /// The connection mark is written: these bits are set, and these are cleared.
    WritesMark {
        /// Bits that may be set afterwards though they were not before.
        sets: u32,
        /// Bits that may be cleared.
        clears: u32,
    },
}

#[cfg(test)]
mod tests;
