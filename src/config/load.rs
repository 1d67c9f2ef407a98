//! From the tree to a [`Config`]: one function per section, in the order of its keys.

use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use super::advertise::{Advertise, AdvertisedAddress, Clients};
use super::endpoint::{ListenAddress, UpstreamAddress};
use super::listener::Listener;
use super::login_guard::LoginGuard;
use super::name::Name;
use super::problem::Refusal;
use super::process::Process;
use super::reader::{Item, Reader};
use super::section::Section;
use super::settings::{Control, Journal, Limits, Pinholes, Rules, Timeouts};
use super::source::{Node, Place, Value};
use super::suggest::nearest;
use super::upstream::{Anonymous, Upstream};
use super::wording::shorten;
use super::{Config, consistency};
pub use crate::yaml::network::parse_network;

mod anonymous;
mod login_guard;
mod settings;
mod tls;

/// The smallest configuration, as errors show it.
const SMALLEST: &str = "the smallest configuration is\n  version: 1\n  listeners: {main: {listen: [\"*:21\"]}}\n  upstreams: {legacy: {addresses: [\"10.0.0.5:21\"]}}";

/// Reads the whole tree; what it returns is good only when `reader` has no errors.
pub(super) fn config(reader: &mut Reader<'_>, root: &Node) -> Option<Config> {
    let item = Item {
        node: root,
        key: String::new(),
        at: Place::Whole,
    };
    if root.is_null() {
        reader.error(
            Place::Whole,
            "",
            Refusal::new("the file is empty").help(SMALLEST),
        );
        return None;
    }
    let mut section = reader.section(&item)?;
    version(reader, &mut section);
    let choices = upstream_names(root);
    let config = Config {
        version: 1,
        listeners: named(reader, &mut section, "listeners", |reader, item| {
            listener(reader, item, &choices)
        }),
        upstreams: named(reader, &mut section, "upstreams", upstream),
        pinholes: reader.or(
            section.take("pinholes"),
            Pinholes::default(),
            settings::pinholes,
        ),
        rules: reader.or(section.take("rules"), Rules::default(), settings::rules),
        limits: reader.or(section.take("limits"), Limits::default(), settings::limits),
        login_guard: reader.or(
            section.take("login_guard"),
            LoginGuard::default(),
            login_guard::read,
        ),
        timeouts: reader.or(
            section.take("timeouts"),
            Timeouts::default(),
            settings::timeouts,
        ),
        journal: reader.or(
            section.take("journal"),
            Journal::default(),
            settings::journal,
        ),
        control: reader.or(
            section.take("control"),
            Control::default(),
            settings::control,
        ),
        process: reader.or(
            section.take("process"),
            Process::default(),
            settings::process,
        ),
    };
    section.finish(reader);
    consistency::check(reader, root, &config);
    Some(config)
}

/// Returns the keys of `upstreams`, also of those that are wrong in themselves.
fn upstream_names(root: &Node) -> Vec<&str> {
    match root.get("upstreams").map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn version(reader: &mut Reader<'_>, section: &mut Section<'_>) {
    let Some(item) = section.take("version") else {
        let refusal = Refusal::new("`version` is missing").help("write `version: 1` at the top");
        return section.missing(reader, "version", refusal);
    };
    let at = item.node.at;
    if let Some(number) = reader.count(&item, 0, u32::MAX)
        && number != 1
    {
        let refusal = Refusal::new(format!("version {number} of the format is not known here"));
        reader.error(at, "version", refusal.help("write `version: 1`"));
    }
}

/// Reads a map whose keys are names.
fn named<T>(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    what: &'static str,
    read: impl Fn(&mut Reader<'_>, &Item<'_>) -> Option<T>,
) -> BTreeMap<Name, T> {
    let Some(item) = section.take(what) else {
        let refusal = Refusal::new(format!("`{what}` is missing")).help(SMALLEST);
        section.missing(reader, what, refusal);
        return BTreeMap::new();
    };
    let nothing = || Refusal::new(format!("`{what}` is empty")).help(SMALLEST);
    if item.node.is_null() {
        reader.error(item.at, what, nothing());
        return BTreeMap::new();
    }
    let Some(section) = reader.section(&item) else {
        return BTreeMap::new();
    };
    let mut values = BTreeMap::new();
    for (entry, item) in section.entries() {
        let name = Name::parse(&entry.key)
            .map_err(|refusal| reader.error(entry.key_at, &item.key, refusal));
        if let (Some(value), Ok(name)) = (read(reader, &item), name) {
            values.insert(name, value);
        }
    }
    if section.entries().next().is_none() {
        reader.error(item.at, what, nothing());
    }
    values
}

fn listener(reader: &mut Reader<'_>, item: &Item<'_>, upstreams: &[&str]) -> Option<Listener> {
    let mut section = reader.section(item)?;
    section.later(&["destinations", "proxy_protocol"]);
    let listen = required(
        reader,
        &mut section,
        "listen",
        item,
        "[\"*:21\"]",
        |reader, item| {
            reader.text(
                item,
                "an address with its port: `\"*:21\"`",
                ListenAddress::parse,
            )
        },
    );
    let upstream = chosen_upstream(reader, &mut section, item, upstreams);
    let mut listener = Listener::new(listen, upstream.clone().unwrap_or_else(Name::placeholder));
    listener.mode = reader.or(section.take("mode"), listener.mode, |reader, item| {
        reader.choice(item, &["transparent"])
    });
    listener.advertise = reader.or(
        section.take("advertise"),
        listener.advertise,
        |reader, item| reader.list(item, "[{to: any, address: 203.0.113.10}]", true, advertise),
    );
    listener.data_source_port = reader.or(
        section.take("data_source_port"),
        listener.data_source_port,
        |reader, item| reader.choice(item, &[]),
    );
    listener.peer = reader.or(section.take("peer"), listener.peer, |reader, item| {
        reader.choice(item, &[])
    });
    listener.foreign_address = reader.or(
        section.take("foreign_address"),
        listener.foreign_address,
        |reader, item| reader.choice(item, &[]),
    );
    listener.allow_addresses = reader.or(section.take("allow_addresses"), Vec::new(), networks);
    listener.bare_lf = reader.or(section.take("bare_lf"), listener.bare_lf, |reader, item| {
        reader.choice(item, &[])
    });
    listener.tls = reader.or(section.take("tls"), listener.tls, tls::listener);
    listener.observe = reader.or(section.take("observe"), Vec::new(), |reader, item| {
        reader.list(item, "[low_port]", false, |reader, item| {
            reader.choice(item, &[])
        })
    });
    section.finish(reader);
    upstream.map(|_| listener)
}

/// Reads which upstream a listener has; the only one needs no mention.
fn chosen_upstream(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    owner: &Item<'_>,
    upstreams: &[&str],
) -> Option<Name> {
    let names = upstreams
        .iter()
        .map(|name| format!("`{}`", shorten(name)))
        .collect::<Vec<_>>()
        .join(", ");
    match (section.take("upstream"), upstreams) {
        (Some(item), _) => reader.text(&item, "the name of an upstream", |text| {
            if upstreams.is_empty() || upstreams.contains(&text) {
                return Name::parse(text);
            }
            let refusal = Refusal::new(format!("there is no upstream `{}`", shorten(text)));
            Err(match nearest(text, upstreams.iter().copied()) {
                Some(name) => refusal.help(format!("did you mean `{}`?", shorten(name))),
                None => refusal.help(format!("the upstreams are {names}")),
            })
        }),
        (None, [only]) => Name::parse(only).ok(),
        (None, []) => None,
        (None, _) => {
            let refusal = Refusal::new(format!(
                "`{}` does not say which upstream it leads to",
                owner.key
            ));
            section.missing(
                reader,
                "upstream",
                refusal.help(format!("write `upstream:` and one of {names}")),
            );
            None
        }
    }
}

fn upstream(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Upstream> {
    let mut section = reader.section(item)?;
    section.later(&["proxy_protocol"]);
    let addresses = required(
        reader,
        &mut section,
        "addresses",
        item,
        "[\"10.0.0.5:21\"]",
        |reader, item| {
            reader.text(
                item,
                "a host with its port: `\"10.0.0.5:21\"`",
                UpstreamAddress::parse,
            )
        },
    );
    let mut upstream = Upstream::new(addresses);
    upstream.data_mode = reader.or(
        section.take("data_mode"),
        upstream.data_mode,
        |reader, item| reader.choice(item, &[]),
    );
    upstream.foreign_address = reader.or(
        section.take("foreign_address"),
        upstream.foreign_address,
        |reader, item| reader.choice(item, &[]),
    );
    upstream.allow_addresses = reader.or(section.take("allow_addresses"), Vec::new(), networks);
    upstream.source = reader.or(section.take("source"), upstream.source, |reader, item| {
        reader.choice(item, &[])
    });
    upstream.paths = reader.or(section.take("paths"), upstream.paths, |reader, item| {
        reader.choice(item, &[])
    });
    upstream.max_sessions = reader.or(section.take("max_sessions"), None, count_or_none);
    upstream.anonymous = reader.or(
        section.take("anonymous"),
        Anonymous::default(),
        anonymous::read,
    );
    upstream.tls = reader.or(section.take("tls"), upstream.tls, tls::upstream);
    section.finish(reader);
    Some(upstream)
}

fn required<T: PartialEq>(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    owner: &Item<'_>,
    example: &str,
    each: impl FnMut(&mut Reader<'_>, &Item<'_>) -> Option<T>,
) -> Vec<T> {
    match section.take(key) {
        Some(item) => reader.list(&item, example, true, each).unwrap_or_default(),
        None => {
            let refusal = Refusal::new(format!("`{}` lacks `{key}`", owner.key))
                .help(format!("write `{key}: {example}`"));
            section.missing(reader, key, refusal);
            Vec::new()
        }
    }
}

fn advertise(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Advertise> {
    let mut section = reader.section(item)?;
    let default = Advertise::default();
    let to = reader.or(section.take("to"), default.to, |reader, item| {
        reader.text(
            item,
            "`any` or a network: `192.0.2.0/24`",
            |text| match text {
                "any" => Ok(Clients::Any),
                text => parse_network(text).map(Clients::In),
            },
        )
    });
    let address = reader.or(section.take("address"), default.address, |reader, item| {
        reader.text(
            item,
            "`auto`, `dialled` or an address: `203.0.113.10`",
            parse_advertised,
        )
    });
    section.finish(reader);
    Some(Advertise { to, address })
}

fn parse_advertised(text: &str) -> Result<AdvertisedAddress, Refusal> {
    match text {
        "auto" => return Ok(AdvertisedAddress::Auto),
        "dialled" => return Ok(AdvertisedAddress::Dialled),
        _ => {}
    }
    let address: IpAddr = text.parse().map_err(|_| {
        Refusal::new(format!("`{}` is not an address", shorten(text)))
            .help("write `auto`, `dialled` or an IP address without port, such as `203.0.113.10`")
    })?;
    let no_host = match address {
        IpAddr::V4(address) => {
            address.is_unspecified() || address.is_multicast() || address.is_broadcast()
        }
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast(),
    };
    if no_host {
        return Err(Refusal::new(format!("nobody can dial `{text}`"))
            .help("write the address that clients reach this gateway at"));
    }
    Ok(AdvertisedAddress::Fixed(address.to_canonical()))
}

fn networks(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Vec<IpNet>> {
    reader.list(item, "[192.0.2.0/24]", false, |reader, item| {
        reader.text(item, "a network: `192.0.2.0/24`", parse_network)
    })
}

pub(super) fn count_or_none(
    reader: &mut Reader<'_>,
    item: &Item<'_>,
) -> Option<Option<NonZeroU32>> {
    reader.text(item, "`none` or a number", |text| {
        match (text, text.parse::<NonZeroU32>()) {
            ("none", _) => Ok(None),
            (_, Ok(count)) => Ok(Some(count)),
            _ => Err(
                Refusal::new(format!("`{}` is not a number from 1 on", shorten(text)))
                    .help("write `none` or a number from 1 on"),
            ),
        }
    })
}
