//! What each gateway's configuration says.

use std::path::Path;

use super::PORT;
use crate::identity::Identity;
use crate::network::{GATEWAY, GATEWAY_INSIDE, SERVER};

/// Our own without a firewall: every byte is relayed.
pub const RELAYED: &str = "pinholes: {window: 21000-21015}\n";

/// Our own with the kernel's firewall; the gateway's process runs as nobody (65534 on Debian).
pub const FORWARDED: &str =
    "pinholes: {window: 21000-21015, firewall: nftables}\nprocess: {user: 65534}\n";

/// A server without a port means: the port that the client dialled. `data` are the data ports, if it carries them, too.
pub fn haproxy(data: Option<(u16, u16)>) -> String {
    let data = data.map_or_else(String::new, |(first, last)| {
        format!("    bind {GATEWAY}:{first}-{last}\n")
    });
    format!(
        "global
    nbthread 2
    maxconn 9000
    no strict-limits
defaults
    mode tcp
    option splice-auto
    option splice-request
    option splice-response
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen ftp
    bind {GATEWAY}:{PORT}
{data}    server backend {SERVER}
"
    )
}

pub fn ftp_proxy(directory: &Path) -> String {
    format!(
        "[-Global-]
ServerType standalone
Listen {GATEWAY}
Port {PORT}
DestinationAddress {SERVER}
DestinationPort {PORT}
DestinationTransferMode client
MaxClients 512
ForkLimit 1000000
User nobody
Group nogroup
LogDestination {log}
PidFile {pid}
",
        log = directory.join("ftp-proxy.log").display(),
        pid = directory.join("ftp-proxy.pid").display(),
    )
}

/// Without `ProxyTLSEngine off` each login reads all the system's certificates: ten times its CPU.
pub fn proftpd(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "ModulePath /usr/lib/proftpd
LoadModule mod_proxy.c
ServerName bench
ServerType standalone
DefaultServer on
DefaultAddress {GATEWAY}
SocketBindTight on
Port {PORT}
User nobody
Group nogroup
UseIPv6 off
UseReverseDNS off
MaxInstances 4000
TimeoutIdle 3600
DelayEngine off
RequireValidShell off
WtmpLog off
TransferLog none
SystemLog {directory}/proftpd.log
PidFile {directory}/proftpd.pid
ScoreboardFile {directory}/proftpd.scoreboard
ProxyEngine on
ProxyTLSEngine off
ProxyRole reverse
ProxyTables {directory}/mod_proxy
ProxyReverseServers ftp://{SERVER}:{PORT}
"
    )
}

/// TLS for everything, with mod_tls's own defaults otherwise: data connections must resume.
pub fn proftpd_tls(identity: &Identity) -> String {
    format!(
        "LoadModule mod_tls.c
TLSEngine on
TLSRequired on
TLSProtocol TLSv1.2 TLSv1.3
TLSRSACertificateFile {certificate}
TLSRSACertificateKeyFile {key}
TLSVerifyClient off
",
        certificate = identity.certificate.display(),
        key = identity.key.display(),
    )
}

/// Journal to a file, as in production; limits above what the tests need.
pub fn ours(directory: &Path, more: &str, tls: Option<&Identity>) -> String {
    let directory = directory.display();
    let tls = tls.map_or_else(String::new, |identity| {
        format!(
            ", tls: {{mode: explicit, certificates: [{{chain: \"{}\", key: \"{}\"}}]}}",
            identity.certificate.display(),
            identity.key.display()
        )
    });
    format!(
        "version: 1
listeners:
  bench: {{listen: [\"{GATEWAY}:{PORT}\"], upstream: backend{tls}}}
upstreams:
  backend: {{addresses: [\"{SERVER}:{PORT}\"]}}
{more}limits: {{sessions: 9000, sessions_per_address: 9000, connects_per_address: 100000/s, commands: 1000000/s}}
journal: {{file: \"{directory}/journal.jsonl\"}}
control: {{socket: \"{directory}/control.sock\"}}
"
    )
}

/// The kernel's own FTP helper (nf_conntrack_ftp, nf_nat_ftp): it reads port 21 and translates what it finds.
pub fn kernel_helper() -> String {
    format!(
        "table ip bench {{
    ct helper ftp {{
        type \"ftp\" protocol tcp
        l3proto ip
    }}
    chain assign {{
        type filter hook prerouting priority -150; policy accept;
        ip daddr {GATEWAY} tcp dport {PORT} ct helper set \"ftp\"
    }}
    chain inward {{
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr {GATEWAY} tcp dport {PORT} dnat to {SERVER}
    }}
    chain outward {{
        type nat hook postrouting priority srcnat; policy accept;
        ip daddr {SERVER} snat to {GATEWAY_INSIDE}
    }}
}}
"
    )
}

/// A map made by hand: each of these ports of the server's is one element, for ever.
pub fn kernel_map(ports: impl Iterator<Item = u16>) -> String {
    let elements: Vec<_> = ports
        .map(|port| format!("{port} : {SERVER} . {port}"))
        .collect();
    format!(
        "table ip bench {{
    map ports {{
        type inet_service : ipv4_addr . inet_service
        elements = {{ {} }}
    }}
    chain inward {{
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr {GATEWAY} dnat ip to tcp dport map @ports
    }}
    chain outward {{
        type nat hook postrouting priority srcnat; policy accept;
        ip daddr {SERVER} snat to {GATEWAY_INSIDE}
    }}
}}
",
        elements.join(", ")
    )
}
