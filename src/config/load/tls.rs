//! The `tls` sections of listeners and upstreams.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::choice::Choice;
use crate::config::endpoint::{Host, UpstreamAddress};
use crate::config::problem::Refusal;
use crate::config::reader::{Item, Reader};
use crate::config::section::Section;
use crate::config::tls::{
    CertificateFiles, ClientCertificates, ListenerTls, OwnCertificate, Pin, TlsVersion,
    TrustAnchors, UpstreamTls,
};
use crate::config::wording::shorten;

use super::settings::parse_path;

const CHAIN: &str = "/etc/portcullis/tls/fullchain.pem";
const KEY: &str = "/etc/portcullis/tls/privkey.pem";
const CA: &str = "/etc/portcullis/tls/ca.pem";

pub(super) fn listener(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<ListenerTls> {
    let mut section = reader.section(item)?;
    let default = ListenerTls::default();
    let tls = ListenerTls {
        mode: reader.or(section.take("mode"), default.mode, |reader, item| {
            reader.choice(item, &["passthrough"])
        }),
        require: reader.or(section.take("require"), default.require, |reader, item| {
            reader.choice(item, &[])
        }),
        certificates: reader.or(
            section.take("certificates"),
            default.certificates,
            |reader, item| {
                let example = format!("[{{chain: {CHAIN}, key: {KEY}}}]");
                reader.list(item, &example, false, certificate)
            },
        ),
        min_version: reader.or(section.take("min_version"), default.min_version, version),
        resumption: reader.or(
            section.take("resumption"),
            default.resumption,
            |reader, item| reader.choice(item, &[]),
        ),
        missing_close_notify: reader.or(
            section.take("missing_close_notify"),
            default.missing_close_notify,
            |reader, item| reader.choice(item, &[]),
        ),
        client_certificates: reader.or(
            section.take("client_certificates"),
            default.client_certificates,
            client_certificates,
        ),
    };
    section.finish(reader);
    Some(tls)
}

fn certificate(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<CertificateFiles> {
    let mut section = reader.section(item)?;
    let mut file = |reader: &mut Reader<'_>, key: &'static str, example: &str| {
        let found = section.take(key);
        if found.is_none() {
            let refusal = Refusal::new(format!("`{}` lacks `{key}`", item.key));
            section.missing(
                reader,
                key,
                refusal.help(format!("write `{key}: {example}`")),
            );
        }
        found.and_then(|item| path(reader, &item, example))
    };
    let chain = file(reader, "chain", CHAIN);
    let key = file(reader, "key", KEY);
    section.finish(reader);
    Some(CertificateFiles {
        chain: chain?,
        key: key?,
    })
}

fn client_certificates(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<ClientCertificates> {
    let mut section = reader.section(item)?;
    let default = ClientCertificates::default();
    let asked = ClientCertificates {
        verify: reader.or(section.take("verify"), default.verify, |reader, item| {
            reader.choice(item, &[])
        }),
        ca: optional_path(reader, &mut section, "ca", CA),
        crl: optional_path(reader, &mut section, "crl", "/etc/portcullis/tls/crl.pem"),
        user_from: reader.or(
            present(section.take("user_from")),
            default.user_from,
            |reader, item| reader.choice(item, &[]).map(Some),
        ),
    };
    section.finish(reader);
    Some(asked)
}

pub(super) fn upstream(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<UpstreamTls> {
    let mut section = reader.section(item)?;
    let default = UpstreamTls::default();
    let tls = UpstreamTls {
        mode: reader.or(section.take("mode"), default.mode, |reader, item| {
            reader.choice(item, &[])
        }),
        policy: reader.or(section.take("policy"), default.policy, |reader, item| {
            reader.choice(item, &[])
        }),
        ca: reader.or(section.take("ca"), default.ca, |reader, item| {
            reader.text(item, "`system`, `none` or the path of a file", parse_ca)
        }),
        pins: reader.or(section.take("pins"), default.pins, |reader, item| {
            let example = "[\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]";
            reader.list(item, example, false, |reader, item| {
                reader.text(item, "a pin in base64", Pin::parse)
            })
        }),
        server_name: reader.or(
            present(section.take("server_name")),
            default.server_name,
            |reader, item| {
                let wanted = "a name: `ftp.example.com`";
                reader.text(item, wanted, parse_server_name).map(Some)
            },
        ),
        max_version: reader.or(
            present(section.take("max_version")),
            default.max_version,
            |reader, item| version(reader, item).map(Some),
        ),
        client_certificate: reader.or(
            section.take("client_certificate"),
            default.client_certificate,
            |reader, item| {
                let mut section = reader.section(item)?;
                let own = OwnCertificate {
                    chain: optional_path(reader, &mut section, "chain", CHAIN),
                    key: optional_path(reader, &mut section, "key", KEY),
                };
                section.finish(reader);
                Some(own)
            },
        ),
    };
    section.finish(reader);
    Some(tls)
}

/// Without quotes a version is a number to most YAML tools, so the quotes are asked for.
fn version(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<TlsVersion> {
    reader.quoted_text(item, "`\"1.2\"` or `\"1.3\"`", |text| {
        TlsVersion::from_word(text).ok_or_else(|| {
            let old = matches!(text, "1.0" | "1.1" | "1" | "ssl3" | "3.0");
            let refusal = if old {
                Refusal::new(format!("TLS {text} is broken, and not spoken here"))
            } else {
                Refusal::new(format!("`{}` is not a version of TLS", shorten(text)))
            };
            refusal.help("write `\"1.2\"` or `\"1.3\"`")
        })
    })
}

/// Drops what stands for nothing: `null`.
fn present<'n>(item: Option<Item<'n>>) -> Option<Item<'n>> {
    item.filter(|item| !item.node.is_null())
}

fn optional_path(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    example: &str,
) -> Option<PathBuf> {
    present(section.take(key)).and_then(|item| path(reader, &item, example))
}

fn path(reader: &mut Reader<'_>, item: &Item<'_>, example: &str) -> Option<PathBuf> {
    reader.text(item, "the path of a file", |text| {
        if is_no_file(text) {
            let refusal = Refusal::new(format!("`{text}` is not a value here"));
            return Err(refusal.help(format!("write a path such as `{example}`")));
        }
        parse_path(text, example)
    })
}

fn parse_ca(text: &str) -> Result<TrustAnchors, Refusal> {
    match text {
        "system" => Ok(TrustAnchors::System),
        "none" => Ok(TrustAnchors::None),
        text if is_no_file(text) => Err(Refusal::new(format!("`{text}` is not a value here"))
            .help("write `system`, `none` or the path of a file")),
        text => parse_path(text, CA).map(TrustAnchors::File),
    }
}

/// Words that somebody may write to say that there is nothing.
fn is_no_file(text: &str) -> bool {
    ["none", "no", "off", "false", "yes", "on", "true"].contains(&text)
}

fn parse_server_name(text: &str) -> Result<String, Refusal> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    match UpstreamAddress::parse(text) {
        Ok(UpstreamAddress {
            host: Host::Name(name),
            ..
        }) if !text.contains(':') => Ok(name),
        _ => Err(
            Refusal::new(format!("`{}` is not the name of a server", shorten(text)))
                .help("write a name or an address without port, such as `ftp.example.com`"),
        ),
    }
}
