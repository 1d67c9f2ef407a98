//! What is right by itself and wrong together.

mod tls;

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

use super::Config;
use super::advertise::{AdvertisedAddress, Clients};
use super::endpoint::{Host, UpstreamAddress};
use super::listener::ForeignAddress;
use super::problem::Refusal;
use super::quantity::show_duration;
use super::reader::Reader;
use super::settings::{Firewall, JournalFile};
use super::source::{Node, Place};
use super::upstream::Source;

/// Reports impossible and doubtful combinations; parts that are wrong by themselves are passed over.
pub(super) fn check(reader: &mut Reader<'_>, root: &Node, config: &Config) {
    let mut check = Check {
        reader,
        root,
        config,
    };
    check.windows();
    check.listeners_in_windows();
    check.listeners_collide();
    check.upstream_is_listener();
    check.foreign_addresses();
    check.advertised();
    check.source_needs_nftables();
    check.any_peer();
    check.journal_path();
    check.keepalive();
    check.login_guard();
    check.tls();
}

struct Check<'c, 'r, 't> {
    reader: &'r mut Reader<'t>,
    root: &'c Node,
    config: &'c Config,
}

impl Check<'_, '_, '_> {
    /// Returns the first of these paths that the file has.
    fn at<'p>(&self, paths: &[&'p str]) -> (Place, &'p str) {
        paths
            .iter()
            .find_map(|path| Some((self.root.locate(path)?, *path)))
            .unwrap_or((Place::Whole, paths.first().copied().unwrap_or_default()))
    }

    fn error(&mut self, paths: &[&str], refusal: Refusal) {
        let (place, key) = self.at(paths);
        self.reader.error(place, key, refusal);
    }

    fn warn(&mut self, paths: &[&str], refusal: Refusal) {
        let (place, key) = self.at(paths);
        self.reader.warn(place, key, refusal);
    }

    fn windows(&mut self) {
        let pinholes = &self.config.pinholes;
        let keys = ["pinholes.upstream_window", "pinholes.window"];
        if keys.iter().all(|key| self.reader.clean(key))
            && pinholes.window.overlaps(&pinholes.upstream_window)
        {
            let refusal = Refusal::new(format!(
                "`window` ({}) and `upstream_window` ({}) overlap",
                pinholes.window, pinholes.upstream_window
            ));
            self.error(
                &keys,
                refusal.help(
                    "write ranges without a common port, such as `21000-21015` and `22000-22999`",
                ),
            );
        }
    }

    fn listeners_in_windows(&mut self) {
        let pinholes = &self.config.pinholes;
        for (window, key) in [
            (pinholes.window, "pinholes.window"),
            (pinholes.upstream_window, "pinholes.upstream_window"),
        ] {
            for (name, listener) in &self.config.listeners {
                for (number, address) in listener.listen.iter().enumerate() {
                    let path = format!("listeners.{name}.listen[{number}]");
                    if window.contains(address.port()) && self.reader.clean(key) {
                        let refusal = Refusal::new(format!(
                            "port {} of `{address}` lies in `{key}` ({window})",
                            address.port()
                        ));
                        self.error(&[&path], refusal.help("move the listener or the window: a port of the window can't be listened on for clients"));
                    }
                }
            }
        }
    }

    fn listeners_collide(&mut self) {
        let all: Vec<_> = self
            .config
            .listeners
            .iter()
            .flat_map(|(name, listener)| {
                listener
                    .listen
                    .iter()
                    .enumerate()
                    .map(move |(number, address)| {
                        (format!("listeners.{name}.listen[{number}]"), address)
                    })
            })
            .collect();
        let mut pairs = Vec::new();
        for (number, (path, address)) in all.iter().enumerate() {
            if let Some((first_path, first)) = all
                .iter()
                .take(number)
                .find(|(_, first)| first.collides_with(address))
            {
                pairs.push((path.clone(), address, first_path.clone(), first));
            }
        }
        for (path, address, first_path, first) in pairs {
            let refusal = Refusal::new(format!(
                "`{address}` is already taken by `{first}` of `{first_path}`"
            ));
            self.error(
                &[&path],
                refusal.help("give each listener an address or a port of its own"),
            );
        }
    }

    fn upstream_is_listener(&mut self) {
        let sockets: Vec<SocketAddr> = self
            .config
            .listeners
            .values()
            .flat_map(|listener| &listener.listen)
            .flat_map(|address| address.sockets())
            .collect();
        for (name, upstream) in &self.config.upstreams {
            for (number, address) in upstream.addresses.iter().enumerate() {
                if sockets.iter().any(|socket| leads_to(address, socket)) {
                    let path = format!("upstreams.{name}.addresses[{number}]");
                    let refusal = Refusal::new(format!("`{address}` is this gateway itself"));
                    self.error(
                        &[&path],
                        refusal.help(
                            "write the FTP server's address, or give the listener another port",
                        ),
                    );
                }
            }
        }
    }

    fn foreign_addresses(&mut self) {
        let config = self.config;
        let listeners = config.listeners.iter().map(|(name, it)| {
            (
                format!("listeners.{name}"),
                it.foreign_address,
                &it.allow_addresses,
            )
        });
        let upstreams = config.upstreams.iter().map(|(name, it)| {
            (
                format!("upstreams.{name}"),
                it.foreign_address,
                &it.allow_addresses,
            )
        });
        for (owner, foreign, allowed) in listeners.chain(upstreams) {
            self.foreign_address(&owner, foreign, allowed);
        }
    }

    fn foreign_address(&mut self, owner: &str, foreign: ForeignAddress, allowed: &[IpNet]) {
        let (verdict, list) = (
            format!("{owner}.foreign_address"),
            format!("{owner}.allow_addresses"),
        );
        if !self.reader.clean(&verdict) || !self.reader.clean(&list) {
            return;
        }
        match foreign {
            ForeignAddress::Allow if allowed.is_empty() => {
                self.error(
                    &[&verdict],
                    Refusal::new("`allow` without `allow_addresses` allows nothing").help(
                        "add `allow_addresses: [192.0.2.0/24]` with the networks that may be named",
                    ),
                );
            }
            ForeignAddress::Refuse | ForeignAddress::Ignore if !allowed.is_empty() => {
                self.error(
                    &[&list],
                    Refusal::new(format!(
                        "`allow_addresses` has no effect with `foreign_address: {foreign}`"
                    ))
                    .help("add `foreign_address: allow`, or leave the list away"),
                );
            }
            ForeignAddress::Allow | ForeignAddress::Refuse | ForeignAddress::Ignore => {}
        }
    }

    fn advertised(&mut self) {
        for (name, listener) in &self.config.listeners {
            let last = listener.advertise.len().saturating_sub(1);
            for (number, entry) in listener.advertise.iter().enumerate() {
                let path = format!("listeners.{name}.advertise[{number}]");
                let address_path = format!("{path}.address");
                if !self.reader.clean(&path) {
                    continue;
                }
                if let AdvertisedAddress::Fixed(address @ IpAddr::V6(_)) = entry.address {
                    let refusal = Refusal::new(format!(
                        "`{address}` is never told to a client: PASV can only name IPv4 addresses, and EPSV names none"
                    ));
                    self.warn(&[&address_path, &path], refusal.help("leave the entry away, or write the IPv4 address that clients reach this gateway at"));
                }
                if let (
                    Clients::In(network @ IpNet::V6(_)),
                    AdvertisedAddress::Fixed(address @ IpAddr::V4(_)),
                ) = (entry.to, entry.address)
                {
                    let refusal = Refusal::new(format!(
                        "`{address}` is never told to clients in {network}: they use IPv6"
                    ));
                    self.warn(
                        &[&address_path, &path],
                        refusal.help("leave the entry away"),
                    );
                }
                if entry.to == Clients::Any
                    && !matches!(entry.address, AdvertisedAddress::Fixed(_))
                    && number < last
                {
                    let refusal = Refusal::new(
                        "the entries after this one are never reached: `any` holds every client",
                    );
                    self.warn(
                        &[&path],
                        refusal.help(
                            "the first entry that holds a client decides: put `to: any` last",
                        ),
                    );
                }
            }
        }
    }

    /// The kernel alone can keep a client's address; a relay dials with its own.
    fn source_needs_nftables(&mut self) {
        let firewall = self.config.pinholes.firewall;
        if firewall == Firewall::Nftables || !self.reader.clean("pinholes.firewall") {
            return;
        }
        for (name, upstream) in &self.config.upstreams {
            if upstream.source == Source::Client {
                let refusal = Refusal::new(format!(
                    "`source: client` needs nftables, and `pinholes.firewall` is `{firewall}`"
                ));
                self.error(
                    &[&format!("upstreams.{name}.source")],
                    refusal
                        .help("add `pinholes: {firewall: nftables}`, or write `source: gateway`"),
                );
            }
        }
    }

    fn journal_path(&mut self) {
        if let JournalFile::Path(path) = &self.config.journal.file
            && path.is_relative()
            && let (place @ Place::File { .. }, key) = self.at(&["journal.file"])
        {
            let refusal = Refusal::new(format!(
                "`{}` is relative to the directory in which portcullis is started",
                path.display()
            ));
            self.reader.warn(
                place,
                key,
                refusal.help("write a whole path, such as `/var/log/portcullis/journal.jsonl`"),
            );
        }
    }

    fn login_guard(&mut self) {
        let (guard, timeouts) = (&self.config.login_guard, &self.config.timeouts);
        if let Some(delay) = guard.delay
            && delay >= timeouts.login
        {
            let refusal = Refusal::new(format!(
                "sessions end by `timeouts.login` ({}) before a refused login is told",
                show_duration(timeouts.login)
            ));
            self.warn(
                &["login_guard.delay", "timeouts.login"],
                refusal.help("write a shorter `delay`"),
            );
        }
    }

    fn keepalive(&mut self) {
        let keepalive = self.config.timeouts.keepalive;
        if keepalive.as_secs() == 0 {
            let refusal = Refusal::new(format!(
                "`{}` is too short for keepalive",
                show_duration(keepalive)
            ));
            self.error(&["timeouts.keepalive"], refusal.help("write `1s` or more"));
        } else if keepalive.as_secs() > 4 * 60 {
            let refusal = Refusal::new(
                "cloud networks forget idle connections after four minutes or more, before the first keepalive",
            );
            self.warn(
                &["timeouts.keepalive"],
                refusal.help("write `4m` or less, unless no NAT and no load balancer lies between"),
            );
        }
    }
}

/// Tells whether who dials `address` from this machine arrives at `socket`.
fn leads_to(address: &UpstreamAddress, socket: &SocketAddr) -> bool {
    let Host::Address(host) = address.host else {
        return false;
    };
    address.port == socket.port()
        && host.is_ipv4() == socket.is_ipv4()
        && (host == socket.ip()
            || host.is_unspecified()
            || (socket.ip().is_unspecified() && host.is_loopback()))
}
