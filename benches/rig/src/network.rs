//! Three network namespaces in a row: client, gateway, server; gone when the value is.
//!
//! ```text
//! client 10.77.0.2 ---- 10.77.0.1 gateway 10.78.0.1 ---- 10.78.0.2 server
//!        10.77.4.1 ... (hundreds of addresses, all its own)
//! ```
//!
//! Without a gateway program the middle namespace routes.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::claim;

/// The gateway's address towards the clients.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The gateway's address towards the server.
pub const GATEWAY_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);

/// The server's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

/// First of the many client addresses; they are in 10.77.4.0/22.
const FIRST_CLIENT: u32 = Ipv4Addr::new(10, 77, 4, 1).to_bits();

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// The places where programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the load runs.
    Client,
    /// Where the gateway runs.
    Gateway,
    /// Where the backend runs.
    Server,
}

const PLACES: [Place; 3] = [Place::Client, Place::Gateway, Place::Server];

/// The three namespaces of this process.
#[derive(Debug)]
pub struct Network(());

/// Returns the client address of that number, counted from 0; there are 1,000.
pub fn client_address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(FIRST_CLIENT + number % 1_000).into()
}

/// Says whether it is one of the many client addresses.
pub fn is_bench_client(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if (FIRST_CLIENT..FIRST_CLIENT + 1_000).contains(&v4.to_bits()))
}

impl Place {
    /// Returns the name of this process' namespace there.
    pub fn namespace(self) -> String {
        claim::name(self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Server => "server",
        }
    }
}

impl Network {
    /// Builds the namespaces; needs root and iproute2. All their TCP uses that congestion control, whatever the machine's does.
    pub fn build(congestion_control: &str) -> anyhow::Result<Self> {
        remove_stale();
        let network = Self(());
        for place in PLACES {
            ip(&["netns", "add", &place.namespace()])?;
        }
        let [client, gateway, server] = PLACES.map(Place::namespace);
        ip(&[
            "link", "add", "near", "netns", &client, "type", "veth", "peer", "name", "near",
            "netns", &gateway,
        ])?;
        ip(&[
            "link", "add", "far", "netns", &gateway, "type", "veth", "peer", "name", "far",
            "netns", &server,
        ])?;
        batch(
            &client,
            &[
                "link set lo up",
                "address add 10.77.0.2/24 dev near",
                "link set near up",
                "route add default via 10.77.0.1",
                // Every address of the range is local, without being set one by one.
                "route add local 10.77.4.0/22 dev lo",
            ],
        )?;
        batch(
            &gateway,
            &[
                "link set lo up",
                "address add 10.77.0.1/24 dev near",
                "address add 10.78.0.1/24 dev far",
                "link set near up",
                "link set far up",
                // One neighbour instead of hundreds: the kernel's table of them is small.
                "route add 10.77.4.0/22 via 10.77.0.2",
            ],
        )?;
        batch(
            &server,
            &[
                "link set lo up",
                "address add 10.78.0.2/24 dev far",
                "link set far up",
                "route add default via 10.78.0.1",
            ],
        )?;
        // Tens of thousands of connections a minute between the same two addresses would use up the ports that rest in
        // TIME_WAIT, for all peers alike.
        let reuse = "echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse";
        let forward = format!("{reuse}; echo 1 >/proc/sys/net/ipv4/ip_forward");
        for (namespace, settings) in [(&client, reuse), (&gateway, &forward), (&server, reuse)] {
            run(Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", settings]))?;
            let control = "echo \"$1\" >/proc/sys/net/ipv4/tcp_congestion_control";
            let mut command = Command::new("ip");
            command.args([
                "netns",
                "exec",
                namespace,
                "sh",
                "-c",
                control,
                "sh",
                congestion_control,
            ]);
            run(&mut command).with_context(|| {
                let known =
                    std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
                format!(
                    "congestion control {congestion_control:?}: this kernel has {}",
                    known.unwrap_or_default().trim()
                )
            })?;
        }
        Ok(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for place in PLACES {
            remove(&place.namespace());
        }
    }
}

/// A ruleset in the gateway's namespace; dropping it takes all rules there away.
#[derive(Debug)]
pub struct Ruleset(());

impl Ruleset {
    /// Loads it; needs nft(8).
    pub fn load(text: &str) -> anyhow::Result<Self> {
        let ruleset = Self(());
        let mut command = nft();
        let mut child = command
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run nft (package nftables)")?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes())?;
        }
        judge("nft", &child.wait_with_output()?)?;
        Ok(ruleset)
    }
}

impl Drop for Ruleset {
    fn drop(&mut self) {
        if let Err(e) = run(nft().args(["flush", "ruleset"])) {
            eprintln!("bench: rules stay in the gateway's namespace: {e:#}");
        }
    }
}

/// Runs in the gateway's namespace, whose rules are nobody else's.
fn nft() -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &Place::Gateway.namespace(), "nft"]);
    command
}

/// Removes namespaces of runs that were killed before they could.
fn remove_stale() {
    for place in PLACES {
        for left in claim::left_behind(Path::new(NAMES), place.name()) {
            left.file_name().and_then(|name| name.to_str()).map(remove);
        }
    }
}

fn remove(namespace: &str) {
    if Path::new(NAMES).join(namespace).exists()
        && let Err(e) = ip(&["netns", "delete", namespace])
    {
        eprintln!("bench: namespace {namespace} stays: {e:#}");
    }
}

fn ip(args: &[&str]) -> anyhow::Result<()> {
    run(Command::new("ip").args(args))
}

fn batch(namespace: &str, lines: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("ip");
    command
        .args(["-netns", namespace, "-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run ip")?;
    if let Some(mut input) = child.stdin.take() {
        writeln!(input, "{}", lines.join("\n"))?;
    }
    judge("ip -batch", &child.wait_with_output()?)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot run ip (package iproute2)")?;
    judge(&format!("{command:?}"), &output)
}

fn judge(what: &str, output: &std::process::Output) -> anyhow::Result<()> {
    if !output.status.success() {
        bail!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_clients_have_addresses_of_their_own() {
        let all: std::collections::HashSet<_> = (0..1_000).map(client_address).collect();
        assert_eq!(all.len(), 1_000);
        assert!(all.iter().all(|ip| is_bench_client(*ip)));
        assert!(!is_bench_client(GATEWAY.into()));
    }
}
