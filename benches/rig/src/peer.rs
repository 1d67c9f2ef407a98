//! The gateways that are measured: how each is set up, and what it cannot do.

mod config;

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::identity::Identity;
use crate::load::job::Mode;
use crate::network::{GATEWAY, SERVER};
use crate::plan::{Kind, Test};

/// Port of every control connection.
const PORT: u16 = 21;

/// Passive ports of the backend, the same behind each gateway: HAProxy forwards them port for port, and a kernel that
/// has to find a free port among thousands at rest (TIME_WAIT) would be what is measured.
const PASSIVE_PORTS: (u16, u16) = (30_000, 31_999);

/// A gateway, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Serialize)]
pub enum Peer {
    /// The kernel routes; nothing knows FTP.
    #[value(name = "direct")]
    #[serde(rename = "direct")]
    Direct,
    /// HAProxy in TCP mode with splice, port for port.
    #[value(name = "haproxy")]
    #[serde(rename = "haproxy")]
    Haproxy,
    /// SUSE ftp-proxy.
    #[value(name = "ftp-proxy")]
    #[serde(rename = "ftp-proxy")]
    FtpProxy,
    /// ProFTPD with mod_proxy.
    #[value(name = "mod_proxy")]
    #[serde(rename = "mod_proxy")]
    ModProxy,
    /// Ours.
    #[value(name = "portcullis")]
    #[serde(rename = "portcullis")]
    Portcullis,
    /// The kernel's own FTP helper, with address translation.
    #[value(name = "alg")]
    #[serde(rename = "alg")]
    KernelHelper,
    /// The kernel's address translation by a map made by hand, port for port.
    #[value(name = "nft-map")]
    #[serde(rename = "nft-map")]
    KernelMap,
    /// HAProxy for the dialogue, that map for data: the least that a process in between costs, with every port open.
    #[value(name = "haproxy-map")]
    #[serde(rename = "haproxy-map")]
    HaproxyMap,
    /// Ours with `firewall: nftables`.
    #[value(name = "portcullis-nft")]
    #[serde(rename = "portcullis-nft")]
    PortcullisNft,
    /// ProFTPD with mod_proxy and mod_tls: TLS to the client.
    #[value(name = "mod_proxy-tls")]
    #[serde(rename = "mod_proxy-tls")]
    ModProxyTls,
    /// Ours with TLS to the client.
    #[value(name = "portcullis-tls")]
    #[serde(rename = "portcullis-tls")]
    PortcullisTls,
}

/// What must run for a peer.
#[derive(Debug)]
pub struct Setup {
    /// Program and arguments of the gateway, if there is one.
    pub gateway: Option<(PathBuf, Vec<OsString>)>,
    /// The ruleset of the gateway's namespace, for nft(8); empty for none.
    pub ruleset: String,
    /// Arguments of the backend.
    pub backend: Vec<OsString>,
    /// Where clients go.
    pub target: SocketAddr,
}

/// How much of a test a peer can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// All.
    Whole,
    /// With fewer sessions, for the reason given.
    Fewer(usize, &'static str),
    /// Nothing, for the reason given.
    Nothing(&'static str),
}

impl Peer {
    /// Returns its name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Haproxy => "haproxy",
            Self::FtpProxy => "ftp-proxy",
            Self::ModProxy => "mod_proxy",
            Self::Portcullis => "portcullis",
            Self::KernelHelper => "alg",
            Self::KernelMap => "nft-map",
            Self::HaproxyMap => "haproxy-map",
            Self::PortcullisNft => "portcullis-nft",
            Self::ModProxyTls => "mod_proxy-tls",
            Self::PortcullisTls => "portcullis-tls",
        }
    }

    /// Says whether it is ours, in one way or another.
    pub fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Portcullis | Self::PortcullisNft | Self::PortcullisTls
        )
    }

    /// Says whether a failure of its is a failure of the run: the product's, or the rig's own.
    pub fn must_succeed(self) -> bool {
        match self {
            Self::Direct
            | Self::KernelMap
            | Self::Portcullis
            | Self::PortcullisNft
            | Self::PortcullisTls => true,
            Self::Haproxy
            | Self::HaproxyMap
            | Self::FtpProxy
            | Self::ModProxy
            | Self::KernelHelper
            | Self::ModProxyTls => false,
        }
    }

    /// Says whether its files belong in memory: mod_proxy waits for the disk three times per login, and what is measured
    /// here is gateways.
    pub fn wants_files_in_memory(self) -> bool {
        matches!(self, Self::ModProxy | Self::ModProxyTls)
    }

    /// Says whether its clients speak TLS.
    pub fn speaks_tls(self) -> bool {
        matches!(self, Self::ModProxyTls | Self::PortcullisTls)
    }

    /// Says whether a test is one that it is there for; others are left out without a word.
    pub fn is_for(self, test: Test) -> bool {
        match self {
            Self::HaproxyMap => !test.tls && matches!(test.kind, Kind::Files { active: false, .. }),
            _ => test.tls == self.speaks_tls(),
        }
    }

    /// Says how much of a test that it is there for it can do.
    pub fn ability(self, test: Test, passive: Mode) -> Ability {
        let at_rest = matches!(test.kind, Kind::Rest { .. });
        let active = matches!(test.kind, Kind::Files { active: true, .. });
        let extended = passive == Mode::ExtendedPassive;
        match self {
            Self::ModProxyTls if at_rest => Ability::Fewer(500, "a process of 2 MiB per session"),
            Self::KernelHelper | Self::KernelMap | Self::PortcullisNft
                if !matches!(test.kind, Kind::Bulk { .. } | Kind::Files { .. }) =>
            {
                Ability::Nothing("only data goes another way")
            }
            Self::KernelMap if active => Ability::Nothing("the server would dial past it"),
            Self::Direct if at_rest => Ability::Nothing("no gateway"),
            Self::Haproxy if active => Ability::Nothing("the server would dial past it"),
            Self::FtpProxy if extended && !active => Ability::Nothing("knows no EPSV"),
            Self::FtpProxy if test.kind.sessions() > 512 => match test.kind {
                Kind::Rest { idle: 1_000 } => Ability::Fewer(500, "512 clients are its maximum"),
                _ => Ability::Nothing("512 clients are its maximum"),
            },
            Self::ModProxy | Self::ModProxyTls if test.kind.sessions() > 1_600 => {
                Ability::Nothing("a process of 1 MiB per session")
            }
            Self::Direct
            | Self::Haproxy
            | Self::FtpProxy
            | Self::ModProxy
            | Self::Portcullis
            | Self::KernelHelper
            | Self::KernelMap
            | Self::HaproxyMap
            | Self::PortcullisNft
            | Self::ModProxyTls
            | Self::PortcullisTls => Ability::Whole,
        }
    }

    /// Writes its configuration into a directory; the error says what is missing.
    pub fn set_up(
        self,
        directory: &Path,
        portcullis: &Path,
        identity: &Identity,
    ) -> anyhow::Result<Setup> {
        let at = |ip: Ipv4Addr| SocketAddr::from((ip, PORT));
        let mut backend: Vec<OsString> = [
            "backend",
            "--listen",
            &at(SERVER).to_string(),
            "--ports",
            &format!("{}-{}", PASSIVE_PORTS.0, PASSIVE_PORTS.1),
        ]
        .map(OsString::from)
        .into();
        let gateway = match self {
            Self::Direct => {
                return Ok(Setup {
                    gateway: None,
                    ruleset: String::new(),
                    backend,
                    target: at(SERVER),
                });
            }
            Self::KernelHelper => {
                return Ok(Setup {
                    gateway: None,
                    ruleset: config::kernel_helper(),
                    backend,
                    target: at(GATEWAY),
                });
            }
            Self::KernelMap => {
                backend.extend(["--announce".into(), GATEWAY.to_string().into()]);
                return Ok(Setup {
                    gateway: None,
                    ruleset: config::kernel_map(std::iter::once(PORT).chain(passive_ports())),
                    backend,
                    target: at(GATEWAY),
                });
            }
            Self::Haproxy | Self::HaproxyMap => {
                backend.extend(["--announce".into(), GATEWAY.to_string().into()]);
                let data = match self {
                    Self::HaproxyMap => None,
                    _ => Some(PASSIVE_PORTS),
                };
                let file = write(directory, "haproxy.cfg", &config::haproxy(data))?;
                (
                    installed("haproxy")?,
                    vec!["-db".into(), "-f".into(), file.into()],
                )
            }
            Self::FtpProxy => {
                // It drops its privilege before it opens its log.
                fs::set_permissions(directory, fs::Permissions::from_mode(0o777))?;
                let file = write(directory, "ftp-proxy.conf", &config::ftp_proxy(directory))?;
                (
                    installed("ftp-proxy")?,
                    vec!["-d".into(), "-n".into(), "-f".into(), file.into()],
                )
            }
            Self::ModProxy | Self::ModProxyTls => {
                if !Path::new("/usr/lib/proftpd/mod_proxy.so").exists() {
                    bail!("mod_proxy is not installed (package proftpd-mod-proxy)");
                }
                let mut text = config::proftpd(directory);
                if self == Self::ModProxyTls {
                    if !Path::new("/usr/lib/proftpd/mod_tls.so").exists() {
                        bail!("mod_tls is not installed (package proftpd-mod-crypto)");
                    }
                    text += &config::proftpd_tls(identity);
                }
                let file = write(directory, "proftpd.conf", &text)?;
                // Debian's mod_proxy needs a library that it does not name, and that only mod_tls would bring.
                let program = installed("proftpd")?.into_os_string();
                let arguments = [
                    "LD_PRELOAD=libssl.so.3".into(),
                    program,
                    "-n".into(),
                    "-q".into(),
                    "-c".into(),
                    file.into(),
                ];
                (PathBuf::from("/usr/bin/env"), arguments.into())
            }
            Self::Portcullis | Self::PortcullisNft | Self::PortcullisTls => {
                if !portcullis.exists() {
                    bail!("{} does not exist", portcullis.display());
                }
                let pinholes = match self {
                    Self::PortcullisNft => config::FORWARDED,
                    _ => config::RELAYED,
                };
                let tls = self.speaks_tls().then_some(identity);
                let text = config::ours(directory, pinholes, tls);
                let file = write(directory, "portcullis.yaml", &text)?;
                let arguments = ["run".into(), "--config".into(), file.into()];
                (portcullis.to_owned(), arguments.into())
            }
        };
        let ruleset = match self {
            Self::HaproxyMap => config::kernel_map(passive_ports()),
            _ => String::new(),
        };
        Ok(Setup {
            gateway: Some(gateway),
            ruleset,
            backend,
            target: at(GATEWAY),
        })
    }
}

fn passive_ports() -> impl Iterator<Item = u16> {
    PASSIVE_PORTS.0..=PASSIVE_PORTS.1
}

fn installed(program: &str) -> anyhow::Result<PathBuf> {
    ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.exists())
        .with_context(|| format!("{program} is not installed"))
}

fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::TESTS;

    #[test]
    fn limits_of_the_peers_are_known_beforehand() {
        let ability = |peer: Peer, name: &str| {
            let test = TESTS
                .into_iter()
                .find(|test| test.name == name)
                .expect("a test");
            peer.ability(test, Mode::Passive)
        };
        assert!(matches!(
            ability(Peer::Haproxy, "files-active-1"),
            Ability::Nothing(_)
        ));
        assert!(matches!(
            ability(Peer::FtpProxy, "idle-1000"),
            Ability::Fewer(500, _)
        ));
        assert!(matches!(
            ability(Peer::FtpProxy, "burst-1500"),
            Ability::Nothing(_)
        ));
        assert_eq!(ability(Peer::ModProxy, "burst-1500"), Ability::Whole);
        assert!(TESTS.iter().all(|test| {
            let ours = if test.tls {
                Peer::PortcullisTls
            } else {
                Peer::Portcullis
            };
            ability(ours, test.name) == Ability::Whole
        }));
    }
}
