//! Certificates for tests, and files that are nowhere.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType, SerialNumber,
};

use crate::config::Config;
use crate::config::files::{Contents, Files};

/// Files with contents and modes, in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    files: BTreeMap<PathBuf, Contents>,
}

impl Shelf {
    pub(crate) fn put(&mut self, path: &str, text: &str, mode: u32) {
        let contents = Contents {
            bytes: text.as_bytes().to_vec(),
            mode,
            uid: 0,
        };
        self.files.insert(path.into(), contents);
    }

    /// Puts a chain and its key where [`listener`] looks for them.
    pub(crate) fn put_pair(&mut self, name: &str, (chain, key): &(String, String)) {
        self.put(&format!("/t/{name}.pem"), chain, 0o644);
        self.put(&format!("/t/{name}.key"), key, 0o640);
    }
}

impl Files for Shelf {
    fn read(&self, path: &Path) -> io::Result<Contents> {
        let found = self.files.get(path).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

/// Who issues certificates in tests.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Authority { issuer }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a certificate for these DNS names and addresses: its chain and its key.
    pub(crate) fn issue(&self, names: &[&str]) -> (String, String) {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("good names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "somebody");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Issues a certificate for a user with this serial number.
    pub(crate) fn issue_user(&self, name: &str, email: &str, serial: u64) -> (String, String) {
        self.issue_with(&[], |params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params.serial_number = Some(SerialNumber::from(serial));
            let email = email.try_into().expect("ASCII");
            params.subject_alt_names.push(SanType::Rfc822Name(email));
        })
    }

    /// Lists this serial number as revoked.
    pub(crate) fn revoke(&self, serial: u64) -> String {
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2024, 1, 1),
            next_update: rcgen::date_time_ymd(2300, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![rcgen::RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: rcgen::date_time_ymd(2024, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        list.pem().expect("PEM")
    }
}

/// Makes a config with this `tls` of its listener and of its upstream.
pub(crate) fn config(listener: &str, upstream: &str) -> Config {
    let text = format!(
        "version: 1\nlisteners: {{main: {{listen: [\"127.0.0.1:0\"], tls: {{{listener}}}}}}}\nupstreams: {{old: {{addresses: [localhost], tls: {{{upstream}}}}}}}\n"
    );
    match Config::parse(&text, "test") {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}"),
    }
}

/// Makes `tls` of a listener with these certificates.
pub(crate) fn listener(names: &[&str], more: &str) -> String {
    let pairs: Vec<String> = names
        .iter()
        .map(|name| format!("{{chain: /t/{name}.pem, key: /t/{name}.key}}"))
        .collect();
    format!("mode: explicit, certificates: [{}]{more}", pairs.join(", "))
}
