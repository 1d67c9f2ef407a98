//! FTPS with real clients through the gateway, in front of real servers, in clear and with TLS behind.
//!
//! Servers demand that data connections resume the control connection's session where they can. Needs root and the programs that
//! `scripts/test` installs. With `PORTCULLIS_FTPS=lftp,proftpd` only the cells are tried whose line has all of these words.

mod capture;
mod cell;
mod client;
mod hook;
mod journal;
mod leaks;
mod papers;
mod site;
mod table;
mod thieves;
mod transfers;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread;

use cell::{Cell, Firewall};
use client::{Client, Mode, Version};
use portcullis_netlab::{Failure, Node, ServerKind, journal as records};
use site::{Site, Upstream};

/// Runs every cell of a firewall in one site, and tells of each.
fn run_all(firewall: Firewall) -> Result<String, Vec<Failure>> {
    let words = std::env::var("PORTCULLIS_FTPS").unwrap_or_default();
    let chosen = |cell: &cell::Cell| words.split(',').all(|word| cell.to_string().contains(word));
    let cells: Vec<_> = cell::all(firewall).into_iter().filter(chosen).collect();
    let site = Site::new(firewall).map_err(|failure| vec![failure])?;
    let mut failures = Vec::new();
    let (mut passed, mut impossible) = (0, 0);
    for cell in &cells {
        match cell.not_applicable() {
            Some(reason) => {
                impossible += 1;
                println!("{cell}: n/a: {reason}");
            }
            None => match site.try_cell(cell) {
                Ok(told) => {
                    passed += 1;
                    println!("{cell}: {told}");
                }
                Err(failure) => {
                    println!("{cell}: FAILED: {failure}");
                    failures.push(format!("{cell}: {failure}"));
                }
            },
        }
    }
    if let Err(failure) = site.finish() {
        failures.push(failure);
    }
    if failures.is_empty() {
        Ok(format!(
            "{}: {passed} cells passed, {impossible} not applicable",
            firewall.name()
        ))
    } else {
        Err(failures)
    }
}

/// Both firewalls beside each other: there are two sites, and most of the time is spent waiting.
#[test]
fn fifty_transfers_in_one_session_with_every_client_server_and_version() {
    let outcomes = thread::scope(|scope| {
        let running = Firewall::ALL.map(|firewall| scope.spawn(move || run_all(firewall)));
        running.map(|one| one.join().expect("a site that does not panic"))
    });
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(told) => println!("{told}"),
            Err(more) => failures.extend(more),
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n========\n")
    );
}

/// A session that a client can have with vsftpd behind.
fn cell(client: Client, version: Version, mode: Mode, server: ServerKind) -> Cell {
    Cell {
        firewall: Firewall::None,
        client,
        version,
        mode,
        server,
        upstream: Upstream::Tls,
    }
}

/// What the table calls not applicable is so without the gateway: curl can't do active FTPS with vsftpd itself.
#[test]
fn curl_has_no_active_ftps_with_vsftpd_itself_either() {
    let site = Site::new(Firewall::None).expect("a site");
    let to = |mode: Mode| {
        let address = Node::Server.address(mode.family());
        SocketAddr::new(address, ServerKind::Vsftpd.port())
    };
    for (mode, works) in [(Mode::Pasv, true), (Mode::Port, false), (Mode::Eprt, false)] {
        let cell = cell(Client::Curl, Version::V1_2, mode, ServerKind::Vsftpd);
        let outcome = site.transfer(Node::Gateway, &cell, to(mode));
        println!("curl {} straight to vsftpd: {outcome:?}", mode.verb());
        assert_eq!(outcome.is_ok(), works, "{outcome:?}");
    }
    // It is not the server: another client can.
    let cell = cell(Client::Lftp, Version::V1_2, Mode::Port, ServerKind::Vsftpd);
    site.transfer(Node::Gateway, &cell, to(Mode::Port))
        .expect("lftp in active mode");
}

/// ProFTPD demands resumption and gives no tickets of TLS 1.3 with uploads. Its 220 names it, so its first session speaks TLS 1.2 already.
#[test]
fn proftpd_is_spoken_to_in_a_version_whose_sessions_last() {
    let site = Site::new(Firewall::None).expect("a site");
    let cell = cell(
        Client::Ftplib,
        Version::V1_3,
        Mode::Pasv,
        ServerKind::Proftpd,
    );
    site.try_cell(&cell).expect("fifty transfers");
    let all = site.records().expect("a journal");
    let up = all.into_iter().filter(|record| {
        records::event(record) == "tls.established"
            && record.get("side") == Some(&"upstream".into())
    });
    let versions: Vec<_> = up
        .filter_map(|record| Some(record.get("tls")?.as_str()?.to_owned()))
        .collect();
    assert!(
        versions.len() > 50 && versions.iter().all(|version| version == "1.2"),
        "{versions:?}"
    );
}

/// Somebody at the client's own address dials every port of the window all the time. With `require` nothing is lost; with
/// `prefer`, as with FTPS anywhere else, whoever comes first gets the data.
#[test]
fn a_thief_at_the_clients_own_address_gets_nothing_where_resumption_is_required() {
    let site = Site::new(Firewall::Nftables).expect("a site");
    nothing_is_stolen_or_broken(&site, Firewall::Nftables);
    drop(site);
    let site = Site::new(Firewall::None).expect("a site");
    nothing_is_stolen_or_broken(&site, Firewall::None);
    a_thief_gets_in_with_prefer(&site);
}

/// A client whose data connections leave by another address than its control connection, as with a pool of NAT addresses.
#[test]
fn with_any_peer_data_may_come_from_elsewhere() {
    const SCRIPT: &str = "
        ip address add 198.18.5.5/32 dev gateway
        nft -f - <<RULES
table ip elsewhere {
    chain out { type nat hook postrouting priority srcnat; ip daddr 198.51.100.1 tcp dport 21000-21015 snat to 198.18.5.5; }
}
RULES";
    for firewall in Firewall::ALL {
        let cell = Cell {
            firewall,
            ..cell(Client::Lftp, Version::V1_3, Mode::Pasv, ServerKind::Vsftpd)
        };
        let site = Site::where_data_comes_from(firewall, "any").expect("a site");
        for (node, script) in [
            (Node::Client, SCRIPT),
            (Node::Gateway, "ip route add 198.18.5.5/32 via 198.51.100.7"),
        ] {
            let mut command = site.lab.command(node, "sh");
            let status = command.args(["-e", "-c", script]).status();
            assert!(status.expect("a shell").success(), "{script}");
        }
        site.try_cell(&cell).expect("fifty transfers");
        let records = site.records().expect("a journal");
        let from_elsewhere = records.iter().filter(|record| {
            records::event(record) == "pinhole.used"
                && record.values().any(|value| {
                    value
                        .as_str()
                        .is_some_and(|text| text.starts_with("198.18.5.5:"))
                })
        });
        assert!(from_elsewhere.count() >= 50);
    }
}

fn nothing_is_stolen_or_broken(site: &Site, firewall: Firewall) {
    for client in [Client::Lftp, Client::FtplibResuming, Client::Curl] {
        let cell = Cell {
            firewall,
            ..cell(client, Version::V1_2, Mode::Pasv, ServerKind::Vsftpd)
        };
        let (outcome, loot) =
            thieves::while_thieves_dial(site, || site.try_cell(&cell)).expect("thieves");
        println!(
            "firewall: {}, resumption: require, {}: {loot:?}, {outcome:?}",
            firewall.name(),
            client.name()
        );
        outcome.expect("no transfer is broken");
        for tried in [&loot.dialled, &loot.begun] {
            assert!(tried.load(Ordering::Relaxed) > 0, "no attack: {loot:?}");
        }
        assert_eq!(loot.bytes.load(Ordering::Relaxed), 0, "{loot:?}");
    }
}

fn a_thief_gets_in_with_prefer(site: &Site) {
    // The same client at the other listener. Each round has fifty pinholes to race for.
    let cell = cell(
        Client::Ftplib,
        Version::V1_2,
        Mode::Pasv,
        ServerKind::Vsftpd,
    );
    let got_in = (0..10).any(|_| {
        let (outcome, loot) =
            thieves::while_thieves_dial(site, || site.try_cell(&cell)).expect("thieves");
        println!(
            "resumption: prefer: {loot:?}, transfers broken: {}",
            outcome.is_err()
        );
        loot.protected.load(Ordering::Relaxed) > 0
    });
    assert!(
        got_in,
        "no thief got in with prefer: the attack above proves nothing"
    );
}
