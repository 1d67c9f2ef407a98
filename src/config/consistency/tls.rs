//! What of the `tls` sections is right by itself and wrong together.

use std::path::Path;

use super::Check;
use crate::config::problem::Refusal;
use crate::config::tls::{
    ClientCertificates, ListenerTls, Resumption, TlsMode, TlsPolicy, TrustAnchors, UpstreamTls,
    UpstreamTlsMode, VerifyClients,
};
use crate::config::{FTP_PORT, PeerMatch, Upstream};

/// The port of FTP over implicit TLS.
const FTPS_PORT: u16 = 990;

impl Check<'_, '_, '_> {
    pub(super) fn tls(&mut self) {
        let config = self.config;
        for (name, listener) in &config.listeners {
            let path = format!("listeners.{name}.tls");
            if self.reader.clean(&path) {
                self.tls_of_listener(&path, &listener.tls);
            }
        }
        for (name, upstream) in &config.upstreams {
            let path = format!("upstreams.{name}.tls");
            if self.reader.clean(&path) {
                self.tls_of_upstream(&path, &upstream.tls);
                self.tls_port(name.as_str(), upstream);
            }
        }
    }

    /// A hole for everybody is one for nobody else than its owner only where TLS proves who that is.
    pub(super) fn any_peer(&mut self) {
        let config = self.config;
        for (name, listener) in &config.listeners {
            let (peer, path) = (
                format!("listeners.{name}.peer"),
                format!("listeners.{name}.tls"),
            );
            if listener.peer != PeerMatch::Any
                || !self.reader.clean(&peer)
                || !self.reader.clean(&path)
            {
                continue;
            }
            let tls = &listener.tls;
            if tls.mode == TlsMode::None || tls.resumption != Resumption::Require {
                let refusal = Refusal::new(
                    "`any` needs TLS with `resumption: require`: without it whoever dials first gets the data",
                );
                self.error(
                    &[&peer],
                    refusal.help("add `tls: {mode: explicit, resumption: require, certificates: [...]}`, or write `exact` or `prefix`"),
                );
            }
        }
    }

    fn tls_of_listener(&mut self, path: &str, tls: &ListenerTls) {
        let (mode, certificates) = (format!("{path}.mode"), format!("{path}.certificates"));
        match tls.mode {
            TlsMode::None if !tls.certificates.is_empty() => {
                let refusal = Refusal::new("`certificates` has no effect with `mode: none`");
                self.warn(
                    &[&certificates],
                    refusal.help("add `mode: explicit` (AUTH TLS) or `mode: implicit` (port 990)"),
                );
            }
            TlsMode::Explicit | TlsMode::Implicit if tls.certificates.is_empty() => {
                let refusal = Refusal::new("there is no TLS without a certificate");
                self.error(
                    &[&mode, path],
                    refusal.help(
                        "add `certificates: [{chain: /etc/portcullis/tls/fullchain.pem, key: /etc/portcullis/tls/privkey.pem}]`",
                    ),
                );
            }
            TlsMode::None | TlsMode::Explicit | TlsMode::Implicit => {}
        }
        self.client_certificates(
            &format!("{path}.client_certificates"),
            &tls.client_certificates,
        );
        self.relative(path, tls.files());
    }

    fn client_certificates(&mut self, path: &str, asked: &ClientCertificates) {
        let key = |key: &str| format!("{path}.{key}");
        match asked.verify {
            VerifyClients::Request | VerifyClients::Require => {
                if asked.ca.is_none() {
                    let refusal = Refusal::new(format!(
                        "`verify: {}` without `ca`: nobody's certificate would be right",
                        asked.verify
                    ));
                    self.error(
                        &[&key("verify")],
                        refusal.help("add `ca:` and the file with the certificates of those who may issue clients' certificates"),
                    );
                }
            }
            VerifyClients::None => {
                let useless = [
                    ("ca", asked.ca.is_some()),
                    ("crl", asked.crl.is_some()),
                    ("user_from", asked.user_from.is_some()),
                ];
                for (name, _) in useless.into_iter().filter(|(_, set)| *set) {
                    let refusal =
                        Refusal::new(format!("`{name}` has no effect with `verify: none`"));
                    self.error(
                        &[&key(name)],
                        refusal.help(format!("add `verify: require`, or leave `{name}` away")),
                    );
                }
            }
        }
    }

    fn tls_of_upstream(&mut self, path: &str, tls: &UpstreamTls) {
        let key = |key: &str| format!("{path}.{key}");
        match tls.mode {
            UpstreamTlsMode::None => {
                let default = UpstreamTls::default();
                if *tls != default {
                    let refusal = Refusal::new("nothing here has an effect with `mode: none`");
                    self.warn(
                        &[path],
                        refusal
                            .help("add `mode: explicit` (AUTH TLS) or `mode: implicit` (port 990)"),
                    );
                }
            }
            UpstreamTlsMode::Implicit if tls.policy == TlsPolicy::Prefer => {
                let refusal = Refusal::new(
                    "`policy: prefer` does not go with `mode: implicit`: there is no AUTH that a server could refuse",
                );
                self.error(
                    &[&key("policy")],
                    refusal.help("write `mode: explicit`, or leave `policy` away"),
                );
            }
            UpstreamTlsMode::Explicit | UpstreamTlsMode::Implicit => {}
        }
        if tls.ca == TrustAnchors::None && tls.pins.is_empty() {
            let refusal = Refusal::new("`ca: none` without `pins`: any certificate would do");
            self.error(
                &[&key("ca")],
                refusal.help("add `pins:`, or write `ca: system` or the path of a file"),
            );
        }
        let own = &tls.client_certificate;
        for (given, missing, name, other) in [
            (&own.chain, &own.key, "chain", "key"),
            (&own.key, &own.chain, "key", "chain"),
        ] {
            if given.is_some() && missing.is_none() {
                let refusal = Refusal::new(format!("`{name}` needs `{other}` beside it"));
                self.error(
                    &[&key(&format!("client_certificate.{name}"))],
                    refusal.help(format!("add `{other}:` and the path of a file")),
                );
            }
        }
        self.relative(path, tls.files());
    }

    fn tls_port(&mut self, name: &str, upstream: &Upstream) {
        for (number, address) in upstream.addresses.iter().enumerate() {
            let path = format!("upstreams.{name}.addresses[{number}]");
            let (does, wanted) = match (upstream.tls.mode, address.port) {
                (UpstreamTlsMode::Implicit, FTP_PORT) => ("awaits AUTH TLS", "explicit"),
                (UpstreamTlsMode::Explicit, FTPS_PORT) => ("begins TLS at once", "implicit"),
                (
                    UpstreamTlsMode::None | UpstreamTlsMode::Explicit | UpstreamTlsMode::Implicit,
                    _,
                ) => continue,
            };
            let refusal = Refusal::new(format!(
                "a server on port {} {does}, and `tls.mode` is `{}`",
                address.port, upstream.tls.mode
            ));
            self.warn(
                &[&path],
                refusal.help(format!("write `mode: {wanted}`, or the port that is meant")),
            );
        }
    }

    fn relative<'p>(&mut self, path: &str, files: impl Iterator<Item = &'p Path>) {
        for file in files.filter(|file| file.is_relative()) {
            let refusal = Refusal::new(format!(
                "`{}` is relative to the directory in which portcullis is started",
                file.display()
            ));
            self.warn(&[path], refusal.help("write a whole path"));
        }
    }
}
