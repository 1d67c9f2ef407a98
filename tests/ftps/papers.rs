//! Certificates, made for one run: an authority, and what it issues.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_netlab::{Failure, Family, Node, TlsFiles, program};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};

/// The name in every certificate but those that shall be wrong.
pub const NAME: &str = "ftp.example.org";

/// An authority, with its certificate in a file that everybody may read.
pub struct Papers {
    pub ca: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    Expired,
    OtherName,
}

impl Papers {
    pub fn new(directory: &Path) -> Result<Self, Failure> {
        let directory = directory.join("papers");
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let told = |error: rcgen::Error| error.to_string();
        let mut params = CertificateParams::new([]).map_err(told)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Authority of the tests");
        let key = KeyPair::generate().map_err(told)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(told)?;
        let ca = directory.join("ca.pem");
        fs::write(&ca, issuer.pem()).map_err(|error| error.to_string())?;
        Ok(Self {
            ca,
            issuer,
            directory,
        })
    }

    /// Issues a certificate for every address of the gateway and the server, with an RSA key as the oldest servers want it.
    pub fn issue(&self, name: &str, flaw: Flaw) -> Result<TlsFiles, Failure> {
        let told = |error: rcgen::Error| error.to_string();
        let bits = "rsa_keygen_bits:2048";
        let pem = program::run(
            "openssl",
            ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", bits],
        )?;
        let key = KeyPair::from_pem(&pem).map_err(told)?;
        let mut params = CertificateParams::new([]).map_err(told)?;
        match flaw {
            Flaw::None | Flaw::Expired => {
                params.subject_alt_names = names()?;
            }
            Flaw::OtherName => {
                let other = "other.example.org".try_into().map_err(told)?;
                params.subject_alt_names = vec![SanType::DnsName(other)];
            }
        }
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        if flaw == Flaw::Expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.issuer).map_err(told)?;
        let files = TlsFiles {
            chain: self.directory.join(format!("{name}.pem")),
            key: self.directory.join(format!("{name}.key")),
        };
        let written = fs::write(&files.chain, certificate.pem())
            .and_then(|()| fs::write(&files.key, &pem))
            .and_then(|()| fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)));
        written.map_err(|error| format!("{}: {error}", files.key.display()))?;
        Ok(files)
    }
}

fn names() -> Result<Vec<SanType>, Failure> {
    let name = NAME
        .try_into()
        .map_err(|error: rcgen::Error| error.to_string())?;
    let addresses =
        [Node::Gateway, Node::Server].map(|node| Family::BOTH.map(|family| node.address(family)));
    let addresses = addresses
        .into_iter()
        .flatten()
        .map(|address: IpAddr| SanType::IpAddress(address));
    Ok([SanType::DnsName(name)]
        .into_iter()
        .chain(addresses)
        .collect())
}
