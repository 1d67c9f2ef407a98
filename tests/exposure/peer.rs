//! The gateways that are attacked, each behind a firewall that drops by default and lets in what that gateway needs.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portcullis_netlab::firewall::{
    ACCOUNT, accept_marked, drop_by_default, forward_packets, load, operators_table,
};
use portcullis_netlab::gateway::WINDOW;
use portcullis_netlab::{Daemon, Failure, Family, Gateway, Lab, Node, ServerKind, journal, server};

use crate::site::{CONTROL, Site};
use crate::{PATIENCE, control};

/// A gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Ours, with nftables; the kernel carries the bytes.
    Portcullis,
    /// Ours, with nftables; the gateway relays, since the upstream is of the other family.
    Relayed,
    /// The kernel's own (nf_conntrack_ftp, nf_nat_ftp).
    Helper,
    /// ProFTPD with mod_proxy and a range of passive ports.
    ModProxy,
}

/// What is open to whom, summed over time.
#[derive(Debug)]
pub struct Exposure {
    port_seconds: f64,
    to: &'static str,
    holes: usize,
}

/// A gateway that runs.
pub enum Running {
    Portcullis(Gateway),
    Helper(Watch),
    ModProxy(Daemon),
}

impl Peer {
    pub const ALL: [Self; 4] = [
        Self::Portcullis,
        Self::Relayed,
        Self::Helper,
        Self::ModProxy,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Portcullis => "portcullis, nftables",
            Self::Relayed => "portcullis, nftables, relayed",
            Self::Helper => "kernel's helper",
            Self::ModProxy => "mod_proxy, 16 ports",
        }
    }

    /// Says what is missing of programs that are only compared with.
    pub fn is_there(self) -> Result<(), Failure> {
        match self {
            Self::Portcullis | Self::Relayed | Self::Helper => Ok(()),
            Self::ModProxy => mod_proxy().map(drop),
        }
    }

    pub fn start(self, lab: &Lab, family: Family) -> Result<Running, Failure> {
        match self {
            Self::Portcullis | Self::Relayed => {
                forward_packets(lab)?;
                drop_by_default(lab, &[CONTROL])?;
                let portcullis = Path::new(env!("CARGO_BIN_EXE_portcullis"));
                Gateway::run(lab, portcullis, &self.ours(family), &[CONTROL])
                    .map(Running::Portcullis)
            }
            Self::Helper => {
                forward_packets(lab)?;
                load(lab, &helper())?;
                Watch::start(lab).map(Running::Helper)
            }
            Self::ModProxy => {
                let open: Vec<u16> = [CONTROL].into_iter().chain(WINDOW).collect();
                load(lab, &operators_table(&open, &accept_marked()))?;
                let directory = lab.directory().join("mod_proxy");
                let prefix = mod_proxy()?;
                let file = directory.join("proftpd.conf");
                fs::create_dir_all(&directory)
                    .and_then(|()| fs::write(&file, proftpd(&directory, &prefix)))
                    .map_err(|error| format!("{}: {error}", directory.display()))?;
                // Debian's mod_proxy needs a library that it does not name, and that only mod_tls would bring.
                let mut command = lab.command(Node::Gateway, "env");
                command
                    .arg("LD_PRELOAD=libssl.so.3")
                    .arg(format!("{prefix}/sbin/proftpd"))
                    .args(["-n", "-q", "-c"])
                    .arg(&file);
                let mut daemon =
                    Daemon::start("mod_proxy", &mut command, &directory.join("output"))?;
                daemon.wait_for_ports(&[CONTROL], PATIENCE)?;
                Ok(Running::ModProxy(daemon))
            }
        }
    }

    fn ours(self, family: Family) -> String {
        let upstream = match (self, family) {
            (Self::Relayed, Family::V4) => Family::V6,
            (Self::Relayed, Family::V6) => Family::V4,
            (Self::Portcullis | Self::Helper | Self::ModProxy, family) => family,
        };
        let upstream = server::address(Node::Server, ServerKind::Vsftpd, upstream);
        format!(
            "version: 1\n\
             listeners: {{main: {{listen: [\"{}\"]}}}}\n\
             upstreams: {{old: {{addresses: [\"{upstream}\"]}}}}\n\
             pinholes: {{firewall: nftables}}\n\
             process: {{user: {ACCOUNT}}}\n\
             limits: {{connects_per_address: 10000/s, commands: 100000/s}}\n",
            control(family)
        )
    }
}

impl Running {
    /// Ends the gateway and says what was open.
    pub fn finish(self, site: &Site, took: Duration) -> Exposure {
        match self {
            Self::Portcullis(gateway) => {
                let records = gateway.stop().unwrap();
                journal::balanced_pinholes(&records).unwrap();
                let left = portcullis_netlab::firewall::entries(&site.lab).unwrap();
                assert!(left.is_empty(), "the gateway left {left:?}");
                of_journal(&records)
            }
            Self::Helper(watch) => watch.finish(),
            Self::ModProxy(daemon) => {
                drop(daemon);
                Exposure {
                    port_seconds: took.as_secs_f64() * WINDOW.count() as f64,
                    to: "everybody",
                    holes: WINDOW.count(),
                }
            }
        }
    }
}

impl Exposure {
    /// How many holes there were.
    pub fn holes(&self) -> usize {
        self.holes
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sum, holes) = (self.port_seconds, self.holes);
        write!(f, "{sum:.3} port-seconds ({holes} holes), to {}", self.to)
    }
}

/// The directory below which ProFTPD and its mod_proxy are.
fn mod_proxy() -> Result<String, Failure> {
    server::directory_with(&["lib/proftpd/mod_proxy.so", "sbin/proftpd"])
        .map(|prefix| prefix.display().to_string())
        .ok_or_else(|| "mod_proxy is not there (package proftpd-mod-proxy)".to_owned())
}

/// Port 21 is translated and read; what was announced there is `related`.
fn helper() -> String {
    let upstream = server::address(Node::Server, ServerKind::Vsftpd, Family::V4);
    let (server, port) = (upstream.ip(), upstream.port());
    let (gateway, inside) = (control(Family::V4).ip(), Node::Server.gateway(Family::V4));
    let table = format!(
        "table ip helped {{\n\
         ct helper ftp {{\ntype \"ftp\" protocol tcp\nl3proto ip\n}}\n\
         chain assign {{\ntype filter hook prerouting priority -150; policy accept;\n\
         ip daddr {gateway} tcp dport {CONTROL} ct helper set \"ftp\"\n}}\n\
         chain inward {{\ntype nat hook prerouting priority dstnat; policy accept;\n\
         ip daddr {gateway} tcp dport {CONTROL} dnat to {server}:{port}\n}}\n\
         chain outward {{\ntype nat hook postrouting priority srcnat; policy accept;\n\
         ip daddr {server} snat to {inside}\n}}\n}}\n"
    );
    let line = format!("ip daddr {server} tcp dport {port} accept");
    table + &operators_table(&[CONTROL], &line)
}

/// The range of passive ports is the window's, since a firewall has to be opened for it.
fn proftpd(directory: &Path, prefix: &str) -> String {
    let directory = directory.display();
    let upstream = server::address(Node::Server, ServerKind::Vsftpd, Family::V4);
    format!(
        "ModulePath {prefix}/lib/proftpd\n\
         LoadModule mod_proxy.c\n\
         ServerName exposed\nServerType standalone\nDefaultServer on\nDefaultAddress {}\nSocketBindTight on\n\
         Port {CONTROL}\nUser nobody\nGroup nogroup\nUseIPv6 off\nUseReverseDNS off\nMaxInstances 500\n\
         DelayTable none\nDelayEngine off\nRequireValidShell off\nWtmpLog off\nTransferLog none\nControlsEngine off\n\
         PassivePorts {} {}\n\
         SystemLog {directory}/log\nPidFile {directory}/pid\nScoreboardFile {directory}/scoreboard\n\
         ProxyEngine on\nProxyTLSEngine off\nProxyRole reverse\nProxyTables {directory}/tables\n\
         ProxyReverseServers ftp://{upstream}\nProxySourceAddress {}\n",
        control(Family::V4).ip(),
        WINDOW.start(),
        WINDOW.end(),
        Node::Server.gateway(Family::V4),
    )
}

/// Sums up how long each pinhole waited: until its one connection came, or it was shut.
fn of_journal(records: &[journal::Record]) -> Exposure {
    let mut exposure = Exposure {
        port_seconds: 0.0,
        to: "one address each",
        holes: 0,
    };
    for record in records {
        if journal::event(record) == "pinhole.closed" {
            let at = |key: &str| record.get(key).and_then(|time| seconds(time.as_str()?));
            let opened = at("opened").expect("opened");
            let shut = at("used").or_else(|| at("time")).expect("a time");
            // Past midnight the day's seconds begin anew.
            exposure.port_seconds += (shut - opened).rem_euclid(86_400.0);
            exposure.holes += 1;
        }
    }
    exposure
}

/// The seconds of the day in `2026-11-21T04:00:22.123456Z`.
fn seconds(time: &str) -> Option<f64> {
    let mut fields = time.split_once('T')?.1.trim_end_matches('Z').split(':');
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

/// Looks all the time at what the kernel's helper expects.
pub struct Watch {
    over: Arc<AtomicBool>,
    watching: JoinHandle<Exposure>,
}

impl Watch {
    fn start(lab: &Lab) -> Result<Self, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        // A thread inside the namespace makes one that outlives it there.
        let watching = lab.inside(Node::Gateway, || thread::spawn(move || watch(&told)))?;
        Ok(Self { over, watching })
    }

    fn finish(self) -> Exposure {
        self.over.store(true, Ordering::Relaxed);
        self.watching.join().unwrap()
    }
}

fn watch(over: &AtomicBool) -> Exposure {
    let mut exposure = Exposure {
        port_seconds: 0.0,
        to: "one address each; seen by looking every millisecond",
        holes: 0,
    };
    let (mut before, mut last) = (0, Instant::now());
    while !over.load(Ordering::Relaxed) {
        let expected = fs::read_to_string("/proc/thread-self/net/nf_conntrack_expect");
        let now = expected.unwrap_or_default().lines().count();
        exposure.port_seconds += before as f64 * last.elapsed().as_secs_f64();
        exposure.holes += now.saturating_sub(before);
        (before, last) = (now, Instant::now());
        // The kernel tells of no expectation's end: what it holds is sampled.
        thread::sleep(Duration::from_millis(1));
    }
    exposure
}
