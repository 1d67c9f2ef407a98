//! What a chain does with a packet of ours.

use std::ops::RangeInclusive;

use super::{Chain, Hook, Match, Rule, Table, Verdict};

/// How deep chains may call each other; the kernel stops at 16 (NFT_JUMP_STACK_SIZE).
const DEEPEST: usize = 20;

/// The state of a packet's connection (conntrack's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The first packet.
    New,
    /// A later one.
    Established,
    /// The first one of a connection that another announced.
    Related,
    /// None that makes sense.
    Invalid,
    /// None, by wish.
    Untracked,
}

impl State {
    /// Reads nft's or iptables' word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "new" => Self::New,
            "established" => Self::Established,
            "related" => Self::Related,
            "invalid" => Self::Invalid,
            "untracked" => Self::Untracked,
            _ => return None,
        })
    }
}

/// A packet of ours, from or to somebody else's machine, over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Where it is.
    pub hook: Hook,
    /// Whether it is of IPv6.
    pub v6: bool,
    /// Its connection's state.
    pub state: State,
    /// Its connection's mark.
    pub mark: u32,
    /// Whether its connection's destination was translated by our table.
    pub translated: bool,
    /// The ports that it may go to; none where it can be any.
    pub ports: Option<RangeInclusive<u16>>,
    /// The ports that it may come from; none where it can be any.
    pub from: Option<RangeInclusive<u16>>,
}

/// What becomes of a packet in a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It passes.
    Passes,
    /// It falls, unless something that can't be judged lets it pass before.
    MayFall,
    /// It falls.
    Falls,
}

/// How far a packet got through a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Accepted,
    Dropped,
    Through,
}

/// Whether a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fits {
    Yes,
    No,
    Perhaps,
}

impl Table {
    /// Tells what becomes of `packet` in a base chain of this table.
    #[must_use]
    pub fn answer(&self, chain: &Chain, packet: &Packet) -> Answer {
        let Some(base) = chain.base else {
            return Answer::Passes;
        };
        let mut doubt = false;
        let falls = match self.walk(chain, packet, &mut doubt, 0) {
            End::Accepted => false,
            End::Dropped => true,
            End::Through => base.drops,
        };
        match (falls, doubt) {
            (false, _) => Answer::Passes,
            (true, true) => Answer::MayFall,
            (true, false) => Answer::Falls,
        }
    }

    /// Returns the rules of the table that a packet from `chain` may meet, each with whether it surely does.
    #[must_use]
    pub fn met<'t>(
        &'t self,
        chain: &'t Chain,
        packet: &Packet,
    ) -> Vec<(&'t Chain, &'t Rule, bool)> {
        let mut met = Vec::new();
        self.collect(chain, packet, true, 0, &mut met);
        met
    }

    fn collect<'t>(
        &'t self,
        chain: &'t Chain,
        packet: &Packet,
        surely: bool,
        depth: usize,
        met: &mut Vec<(&'t Chain, &'t Rule, bool)>,
    ) {
        let mut surely = surely;
        for rule in &chain.rules {
            let fits = fits(rule, packet);
            if fits == Fits::No {
                continue;
            }
            let sure = surely && fits == Fits::Yes;
            met.push((chain, rule, sure));
            match &rule.verdict {
                Verdict::Jump(to) | Verdict::Goto(to) if depth < DEEPEST => {
                    if let Some(to) = self.chain(to) {
                        self.collect(to, packet, sure, depth + 1, met);
                    }
                }
                Verdict::Accept | Verdict::Drop | Verdict::Return if fits == Fits::Yes => return,
                Verdict::Accept | Verdict::Drop | Verdict::Return | Verdict::Unknown => {
                    surely = false;
                }
                Verdict::Next | Verdict::Jump(_) | Verdict::Goto(_) | Verdict::ByState(_) => {}
            }
        }
    }

    /// Goes through a chain; `doubt` is set where something unknown may have let the packet pass.
    fn walk(&self, chain: &Chain, packet: &Packet, doubt: &mut bool, depth: usize) -> End {
        for rule in &chain.rules {
            let fits = fits(rule, packet);
            if fits == Fits::No {
                continue;
            }
            let verdict = match &rule.verdict {
                Verdict::ByState(by_state) => by_state
                    .iter()
                    .find(|(state, _)| *state == packet.state)
                    .map_or(&Verdict::Next, |(_, verdict)| verdict),
                verdict => verdict,
            };
            match self.follow(verdict, fits == Fits::Yes, packet, doubt, depth) {
                Some(end) => return end,
                None => continue,
            }
        }
        End::Through
    }

    /// Returns where a verdict ends the way through the calling chain; none where it goes on.
    fn follow(
        &self,
        verdict: &Verdict,
        surely: bool,
        packet: &Packet,
        doubt: &mut bool,
        depth: usize,
    ) -> Option<End> {
        match verdict {
            Verdict::Next | Verdict::ByState(_) => None,
            Verdict::Accept if surely => Some(End::Accepted),
            Verdict::Drop if surely => Some(End::Dropped),
            Verdict::Return if surely => Some(End::Through),
            // A drop that only some packets meet is meant for those: a list of bad addresses, a rate.
            Verdict::Drop => None,
            Verdict::Accept | Verdict::Return | Verdict::Unknown => {
                *doubt = true;
                None
            }
            Verdict::Jump(to) | Verdict::Goto(to) => {
                let goes_back = matches!(verdict, Verdict::Jump(_));
                let Some(chain) = self.chain(to).filter(|_| depth < DEEPEST) else {
                    *doubt = true;
                    return None;
                };
                let mut inside = false;
                let end = self.walk(chain, packet, &mut inside, depth + 1);
                *doubt |= inside;
                match (end, surely) {
                    (End::Through, true) if goes_back => None,
                    (end, true) => Some(end),
                    (End::Accepted, false) => {
                        *doubt = true;
                        None
                    }
                    // `iifname "eth0" goto zone`: where it falls in there, and falls here too, it falls.
                    (End::Dropped | End::Through, false) => None,
                }
            }
        }
    }
}

fn fits(rule: &Rule, packet: &Packet) -> Fits {
    let mut all = Fits::Yes;
    for part in &rule.matches {
        match part.fits(packet) {
            Fits::No => return Fits::No,
            Fits::Perhaps => all = Fits::Perhaps,
            Fits::Yes => {}
        }
    }
    all
}

impl Match {
    fn fits(&self, packet: &Packet) -> Fits {
        let known = |fits: bool| if fits { Fits::Yes } else { Fits::No };
        match self {
            Self::State(states) => known(states.contains(&packet.state)),
            Self::NotState(states) => known(!states.contains(&packet.state)),
            Self::Mark { mask, value, not } => known((packet.mark & mask == *value) != *not),
            Self::Translated(translated) => known(*translated == packet.translated),
            Self::V6(v6) => known(*v6 == packet.v6),
            Self::Inner(inner) => known(!inner),
            Self::Local(local) => match packet.hook {
                Hook::Input => known(*local),
                Hook::Forward | Hook::Output | Hook::Postrouting => known(!local),
                // Before routing nobody knows.
                Hook::Prerouting => Fits::Perhaps,
            },
            Self::Never => Fits::No,
            Self::Unknown => Fits::Perhaps,
            Self::Port { source, ports, not } => {
                let end = if *source { &packet.from } else { &packet.ports };
                let Some(wanted) = end else {
                    return Fits::Perhaps;
                };
                let fits = port_fits(ports, wanted);
                match (fits, not) {
                    (Fits::Yes, true) => Fits::No,
                    (Fits::No, true) => Fits::Yes,
                    (fits, _) => fits,
                }
            }
        }
    }
}

fn port_fits(ports: &[RangeInclusive<u16>], wanted: &RangeInclusive<u16>) -> Fits {
    let among = |port: u16| ports.iter().any(|range| range.contains(&port));
    let inside = wanted.clone().filter(|port| among(*port)).count();
    match inside {
        0 => Fits::No,
        all if all == wanted.len() => Fits::Yes,
        _ => Fits::Perhaps,
    }
}
