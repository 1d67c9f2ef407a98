//! Whether other tables let our connections pass.
//!
//! An accept in one table does not override a drop in another (nft(8), "CHAINS": a packet passes only if every base chain
//! of a hook accepts it), so each base chain is asked by itself.

use std::ops::RangeInclusive;

use super::finding::Finding;
use super::ruleset::{Answer, Chain, Hook, Packet, Ruleset, State, Table, Tool};
use crate::config::{Config, Firewall, Mark, PortRange};

/// The name of firewalld's table.
pub(super) const FIREWALLD: &str = "firewalld";

/// The ports from which we dial upstreams.
const UNPRIVILEGED: RangeInclusive<u16> = 1024..=u16::MAX;

/// Finds the chains that stop our connections, and a forward hook that stops nothing.
pub(super) fn findings(
    rules: &Ruleset,
    config: &Config,
    forwards: impl Fn(bool) -> bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let nftables = config.pinholes.firewall == Firewall::Nftables;
    for table in others(rules) {
        for hook in [Hook::Input, Hook::Forward, Hook::Output] {
            for chain in table.filters(hook) {
                let place = Place { table, chain, hook };
                findings.extend(place.stops_clients(config));
                findings.extend(if nftables {
                    place.stops_marked(config)
                } else {
                    place.stops_window(config)
                });
                findings.extend(place.stops_dials(config));
            }
        }
    }
    if nftables {
        for v6 in [false, true] {
            if forwards(v6) && !is_filtered(rules, v6) {
                findings.push(open_router(v6, config.pinholes.mark));
            }
        }
    }
    findings
}

/// The table of the gateway itself, where it runs, decides for itself.
pub(super) fn others(rules: &Ruleset) -> impl Iterator<Item = &Table> {
    rules.tables.iter().filter(|table| !table.has_our_name())
}

/// A base chain of somebody else's.
struct Place<'r> {
    table: &'r Table,
    chain: &'r Chain,
    hook: Hook,
}

impl Place<'_> {
    /// Returns the worst answer of both families that come here.
    fn answer(&self, state: State, mark: u32, ports: Option<RangeInclusive<u16>>) -> Answer {
        self.answer_between(state, mark, None, ports)
    }

    fn answer_between(
        &self,
        state: State,
        mark: u32,
        from: Option<RangeInclusive<u16>>,
        ports: Option<RangeInclusive<u16>>,
    ) -> Answer {
        let packet = |v6| Packet {
            hook: self.hook,
            v6,
            state,
            mark,
            translated: self.hook == Hook::Forward,
            ports: ports.clone(),
            from: from.clone(),
        };
        let answers = [false, true]
            .into_iter()
            .filter(|v6| self.table.family.has(*v6))
            .map(|v6| self.table.answer(self.chain, &packet(v6)));
        answers
            .max_by_key(|answer| *answer as u8)
            .unwrap_or(Answer::Passes)
    }

    /// The connections that pinholes let in carry our mark from prerouting on.
    fn stops_marked(&self, config: &Config) -> Option<Finding> {
        let mark = config.pinholes.mark.bits();
        let windows = || {
            let windows = [config.pinholes.window, config.pinholes.upstream_window];
            windows.into_iter().map(|window: PortRange| window.ports())
        };
        let worst = match self.hook {
            Hook::Input => windows()
                .map(|ports| self.answer(State::New, mark, Some(ports)))
                .max_by_key(|answer| *answer as u8)?,
            Hook::Forward => self.both_ways(mark),
            Hook::Output => windows()
                .map(|ports| self.answer_between(State::Established, mark, Some(ports), None))
                .max_by_key(|answer| *answer as u8)?,
            Hook::Prerouting | Hook::Postrouting => return None,
        };
        let what = match self.hook {
            Hook::Input => "data connections that the gateway relays",
            Hook::Forward => "data connections that the kernel carries",
            Hook::Output => "the answers of data connections that the gateway relays",
            Hook::Prerouting | Hook::Postrouting => return None,
        };
        let why = "every connection that a pinhole lets in carries our mark; accept the mark here, and no range of ports";
        let finding = self.finding("marked_dropped", worst, what, why)?;
        let (command, help) = self.accept_mark(config.pinholes.mark);
        Some(finding.command(command).help(help))
    }

    /// Without nftables nothing is marked, and the window has to be let in as a range.
    fn stops_window(&self, config: &Config) -> Option<Finding> {
        if self.hook != Hook::Input {
            return None;
        }
        let window = config.pinholes.window;
        let answer = self.answer(State::New, 0, Some(window.ports()));
        let what = "data connections of clients";
        let why = "with `firewall: none` the gateway itself keeps the window shut, and it has to be let in here";
        let finding = self.finding("window_dropped", answer, what, why)?;
        let command = match self.table.tool {
            Tool::Nft => self.insert(&format!("tcp dport {window} accept")),
            Tool::Iptables(_) => self.insert(&format!(
                "-p tcp -m tcp --dport {}:{} -j ACCEPT",
                window.first(),
                window.last()
            )),
        };
        Some(finding.command(command).help(self.for_good()))
    }

    fn both_ways(&self, mark: u32) -> Answer {
        let first = self.answer(State::New, mark, None);
        let later = self.answer(State::Established, mark, None);
        if later as u8 > first as u8 {
            later
        } else {
            first
        }
    }

    /// Control connections arrive at the listeners' ports and carry no mark; the answers leave from there.
    fn stops_clients(&self, config: &Config) -> Option<Finding> {
        let arrives = match self.hook {
            Hook::Input => true,
            Hook::Output => false,
            Hook::Forward | Hook::Prerouting | Hook::Postrouting => return None,
        };
        let mut ports: Vec<u16> = config
            .listeners
            .values()
            .flat_map(|listener| &listener.listen)
            .map(|address| address.port())
            .filter(|port| *port != 0)
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports.retain(|port| {
            let port = Some(*port..=*port);
            let answer = if arrives {
                self.answer(State::New, 0, port)
            } else {
                self.answer_between(State::Established, 0, port, None)
            };
            answer == Answer::Falls
        });
        if ports.is_empty() {
            return None;
        }
        let list: Vec<String> = ports.iter().map(u16::to_string).collect();
        let list = list.join(", ");
        let (what, word) = if arrives {
            (format!("clients at port {list}"), "dport")
        } else {
            (format!("the answers to clients from port {list}"), "sport")
        };
        let finding = self.finding(
            "clients_dropped",
            Answer::Falls,
            &what,
            "no session can begin",
        )?;
        let command = match self.table.tool {
            Tool::Nft => self.insert(&format!("tcp {word} '{{ {list} }}' accept")),
            Tool::Iptables(_) => self.insert(&format!(
                "-p tcp -m multiport --{word}s {} -j ACCEPT",
                list.replace(", ", ",")
            )),
        };
        Some(finding.command(command).help(self.for_good()))
    }

    /// Control connections to upstreams, and what the gateway dials itself of data connections.
    fn stops_dials(&self, config: &Config) -> Option<Finding> {
        if self.hook != Hook::Output {
            return None;
        }
        let addresses = config
            .upstreams
            .values()
            .flat_map(|upstream| &upstream.addresses);
        let falls = |port: u16| {
            let (from, to) = (Some(UNPRIVILEGED), Some(port..=port));
            self.answer_between(State::New, 0, from, to) == Answer::Falls
        };
        let dropped = addresses.clone().find(|address| falls(address.port))?;
        let what = format!("what the gateway dials, such as {dropped}");
        let why =
            "sessions can't be carried to upstreams, nor data connections that the gateway relays";
        let finding = self.finding("dials_dropped", Answer::Falls, &what, why)?;
        let user = &config.process.user;
        // With nftables the gateway alone runs as this user, so that nothing else of this machine is let out.
        let by_user = config.pinholes.firewall == Firewall::Nftables;
        let port = dropped.port;
        let command = match (self.table.tool, by_user) {
            (Tool::Nft, true) => self.insert(&format!("meta skuid {user} accept")),
            (Tool::Iptables(_), true) => {
                self.insert(&format!("-m owner --uid-owner {user} -j ACCEPT"))
            }
            (Tool::Nft, false) => self.insert(&format!("tcp dport {port} accept")),
            (Tool::Iptables(_), false) => {
                self.insert(&format!("-p tcp -m tcp --dport {port} -j ACCEPT"))
            }
        };
        Some(finding.command(command).help(self.for_good()))
    }

    fn finding(
        &self,
        check: &'static str,
        answer: Answer,
        what: &str,
        why: &str,
    ) -> Option<Finding> {
        let place = format!(
            "chain {} of table {} {}{}",
            self.chain.name,
            self.table.family.word(),
            self.table.name,
            match self.table.tool {
                Tool::Nft => String::new(),
                Tool::Iptables(tool) => format!(" ({tool})"),
            }
        );
        match answer {
            Answer::Passes => None,
            Answer::MayFall => Some(Finding::warning(
                check,
                format!("{place} may drop {what}"),
                why,
            )),
            Answer::Falls => Some(Finding::error(check, format!("{place} drops {what}"), why)),
        }
    }

    /// Returns the operator's one line for this chain, as a command, and how to make it last.
    fn accept_mark(&self, mark: Mark) -> (String, String) {
        match self.table.tool {
            Tool::Nft => (
                self.insert(&format!("ct mark and {mark} == {mark} accept")),
                self.for_good(),
            ),
            Tool::Iptables(_) => (
                self.insert(&format!("-m connmark --mark {mark}/{mark} -j ACCEPT")),
                self.for_good(),
            ),
        }
    }

    /// Returns the command that puts a rule before all others of the chain.
    fn insert(&self, rule: &str) -> String {
        let (family, table) = (self.table.family.word(), &self.table.name);
        match self.table.tool {
            Tool::Nft => format!(
                "nft insert rule {family} {table} {} {rule}",
                self.chain.name
            ),
            Tool::Iptables(tool) => {
                let table = if table == "filter" {
                    String::new()
                } else {
                    format!(" -t {table}")
                };
                format!("{tool}{table} -I {} {rule}", self.entrance())
            }
        }
    }

    /// Docker writes FORWARD anew and leaves DOCKER-USER alone.
    fn entrance(&self) -> &str {
        match self.hook {
            Hook::Forward if self.table.chain("DOCKER-USER").is_some() => "DOCKER-USER",
            _ => &self.chain.name,
        }
    }

    fn for_good(&self) -> String {
        let hook = self.hook.word();
        let has = |name: &str| self.table.chain(name).is_some();
        match self.table.tool {
            Tool::Nft if self.table.name == FIREWALLD => {
                "firewalld takes the line away when it reloads, and has no word for marks: for good, let the windows' ports in (`firewall-cmd --permanent --add-port=A-B/tcp`), which our own table keeps shut; see README, Beside a firewall".to_owned()
            }
            Tool::Nft => "for good, write the line into the file that loads these rules, such as /etc/nftables.conf".to_owned(),
            Tool::Iptables(_) if has(&format!("ufw-before-{hook}")) || has(&format!("ufw6-before-{hook}")) => format!(
                "for good, write the line into /etc/ufw/before.rules (and before6.rules, with ufw6-) as `-A ufw-before-{hook} ...`, before COMMIT; then `ufw reload`"
            ),
            Tool::Iptables(_) if self.entrance() == "DOCKER-USER" => {
                "Docker keeps DOCKER-USER as it is; for good, run the line when the machine starts".to_owned()
            }
            Tool::Iptables(_) => "for good, save the rules (netfilter-persistent save)".to_owned(),
        }
    }
}

/// Tells whether anything of what is no pinhole's is dropped on its way through this machine.
fn is_filtered(rules: &Ruleset, v6: bool) -> bool {
    let stranger = Packet {
        hook: Hook::Forward,
        v6,
        state: State::New,
        mark: 0,
        translated: false,
        ports: None,
        from: None,
    };
    others(rules)
        .filter(|table| table.family.has(v6))
        .any(|table| {
            let mut chains = table.filters(Hook::Forward);
            chains.any(|chain| table.answer(chain, &stranger) != Answer::Passes)
        })
}

fn open_router(v6: bool, mark: Mark) -> Finding {
    let name = if v6 { "IPv6" } else { "IPv4" };
    let rule = |rule: &str| format!("nft add rule inet filter forward {rule}");
    Finding::warning(
        "open_router",
        format!("{name} is forwarded, and no rule filters it"),
        "this machine carries anybody's packets between its networks, not only those of pinholes",
    )
    .command("nft add table inet filter")
    .command("nft 'add chain inet filter forward { type filter hook forward priority filter; policy drop; }'")
    .command(rule("ct state established,related accept"))
    .command(rule(&format!("ct mark and {mark} == {mark} accept")))
    .help("accept there what else shall be forwarded, and write it into /etc/nftables.conf")
}
