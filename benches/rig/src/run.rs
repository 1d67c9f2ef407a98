//! A whole run: rounds over tests over peers, then the report.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::claim;
use crate::engine;
use crate::identity::Identity;
use crate::load::job::Mode;
use crate::measure::{Circumstances, Sample, measure};
use crate::meter;
use crate::network::Network;
use crate::peer::{Ability, Peer};
use crate::plan::{Extent, TESTS, Test};
use crate::report::{Cell, Report};

/// Name of the test that needs no network: the engine's own benches.
const ENGINE: &str = "engine";

/// Name of the test that has a network of its own: pinholes through the broker.
const BROKER: &str = "broker";

/// Measures Portcullis beside its peers and prints a table.
///
/// Needs root. Client, gateway and server run in network namespaces of their own, which are removed afterwards.
/// The exit code is 1 when a byte was wrong anywhere, or an operation of ours (or without a gateway) failed.
#[derive(Debug, clap::Args)]
#[command(override_usage = "scripts/bench [OPTIONS]")]
pub struct Options {
    /// Little of everything: some five minutes instead of twenty-five.
    #[arg(long)]
    quick: bool,
    /// Peers to measure.
    #[arg(long, value_delimiter = ',', value_name = "NAMES", value_enum, default_values_t = [
        Peer::Direct, Peer::Haproxy, Peer::FtpProxy, Peer::ModProxy, Peer::Portcullis,
        Peer::KernelHelper, Peer::KernelMap, Peer::HaproxyMap, Peer::PortcullisNft,
        Peer::ModProxyTls, Peer::PortcullisTls,
    ])]
    peers: Vec<Peer>,
    /// Tests to run, by name (`retr-4`) or by the name's beginning; all without it.
    ///
    /// There are retr, stor, files, files-active, noop, logins, idle, burst, scale, the same with tls- before it for clients
    /// that speak TLS, broker (pinholes opened and closed in the kernel), and engine: the product's own `cargo bench`, where it
    /// has one.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    tests: Vec<String>,
    /// How often each is measured; peers take turns [default: 4, with --quick 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Ask for passive data connections with EPSV instead of PASV.
    #[arg(long)]
    epsv: bool,
    /// TCP's congestion control in the network of the bench, by the kernel's name.
    ///
    /// Debian's default, whatever the machine's is: with bbr, which paces, bulk costs everybody four to five times as much.
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    congestion_control: String,
    /// Write every figure there too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Our program.
    #[arg(long, value_name = "FILE", default_value = "target/release/portcullis")]
    portcullis: PathBuf,
    /// Where our source is.
    #[arg(long, value_name = "DIRECTORY", default_value = ".", hide = true)]
    workspace: PathBuf,
}

/// Runs until done or interrupted; says whether all went well.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let Chosen {
        tests,
        engine,
        broker,
    } = chosen(&options.tests)?;
    if !rustix::process::geteuid().is_root() {
        bail!("network namespaces need root");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        // Whichever comes first, the other is dropped, and with it every process and namespace.
        tokio::select! {
            report = rounds(options, &tests) => report,
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
            _ = hangup.recv() => bail!("hung up"),
        }
    })?;
    if !tests.is_empty() {
        print!("{}", report.markdown());
    }
    let pinholes = if broker {
        engine::pinholes(&options.workspace)?
    } else {
        None
    };
    if let Some(file) = &options.json {
        let mut figures = report.json();
        if let Some(pinholes) = pinholes {
            figures["pinholes"] = pinholes;
        }
        let text = serde_json::to_string_pretty(&figures)?;
        std::fs::write(file, text + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let engine_went_well = if engine {
        engine::bench(&options.workspace)?
    } else {
        true
    };
    Ok(engine_went_well && report.faults().is_empty())
}

async fn rounds(options: &Options, tests: &[Test]) -> anyhow::Result<Report> {
    let extent = if options.quick {
        Extent::Quick
    } else {
        Extent::Full
    };
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { 4 });
    let passive = if options.epsv {
        Mode::ExtendedPassive
    } else {
        Mode::Passive
    };
    let mut report = Report::new(
        &options.peers,
        tests,
        extent,
        rounds,
        &options.congestion_control,
    );
    if tests.is_empty() {
        return Ok(report);
    }
    let directory = temporary_directory(&std::env::temp_dir())?;
    let in_memory = temporary_directory(Path::new("/dev/shm"))
        .or_else(|_| temporary_directory(&std::env::temp_dir()))?;
    let identity = Identity::make(directory.path())?;
    let _network =
        Network::build(&options.congestion_control).context("cannot build the network")?;
    let around = Circumstances {
        extent,
        passive,
        portcullis: &options.portcullis,
        identity: &identity,
        directory: directory.path(),
        in_memory: in_memory.path(),
    };
    let mut absent = BTreeSet::new();
    for round in 1..=rounds {
        for &test in tests {
            // Another peer begins each round, so that none always follows the same one.
            let turn = (round as usize - 1) % options.peers.len().max(1);
            for &peer in options
                .peers
                .iter()
                .cycle()
                .skip(turn)
                .take(options.peers.len())
            {
                if absent.contains(&peer) || report.gave_up(test, peer) {
                    continue;
                }
                if !peer.is_for(test) {
                    report.leave_out(test, peer);
                    continue;
                }
                match peer.ability(test, passive) {
                    Ability::Whole => {}
                    Ability::Fewer(sessions, why) => {
                        report.note(peer, test, format!("with {sessions} sessions: {why}"))
                    }
                    Ability::Nothing(why) => {
                        report.exclude(test, peer, Cell::NotApplicable, why.to_owned());
                        continue;
                    }
                }
                eprint!("round {round}/{rounds} {} {}: ", test.name, peer.name());
                let dropped = meter::dropped_packets();
                let sample = measure(peer, test, &around).await;
                let dropped = meter::dropped_packets().saturating_sub(dropped);
                if dropped > 0 {
                    let text = format!(
                        "round {round}: {dropped} packets dropped by the busy machine, times suffer"
                    );
                    report.note(peer, test, text);
                }
                eprintln!("{}", describe(&sample, test));
                if matches!(sample, Sample::Failed { absent: true, .. }) {
                    absent.insert(peer);
                }
                report.add(round, test, peer, sample);
            }
        }
    }
    Ok(report)
}

fn temporary_directory(parent: &Path) -> anyhow::Result<TempDir> {
    for left in claim::left_behind(parent, "bench-") {
        std::fs::remove_dir_all(left).ok();
    }
    let directory = tempfile::Builder::new()
        .prefix(&claim::name("bench-"))
        .tempdir_in(parent)?;
    // Peers that drop their privilege must find their own directory within.
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// What is to be run.
struct Chosen {
    tests: Vec<Test>,
    engine: bool,
    broker: bool,
}

/// Finds the tests that were asked for.
fn chosen(names: &[String]) -> anyhow::Result<Chosen> {
    let meant =
        |test: &Test, name: &str| test.name == name || test.name.starts_with(&format!("{name}-"));
    let own = [ENGINE, BROKER];
    for name in names {
        if !own.contains(&name.as_str()) && !TESTS.iter().any(|test| meant(test, name)) {
            let known: Vec<_> = TESTS.iter().map(|test| test.name).chain(own).collect();
            bail!("no test is called {name}; there are {}", known.join(", "));
        }
    }
    let tests = TESTS
        .into_iter()
        .filter(|test| names.is_empty() || names.iter().any(|name| meant(test, name)));
    let is_asked = |own: &str| names.is_empty() || names.iter().any(|name| name == own);
    Ok(Chosen {
        tests: tests.collect(),
        engine: is_asked(ENGINE),
        broker: is_asked(BROKER),
    })
}

fn describe(sample: &Sample, test: Test) -> String {
    match sample {
        Sample::Measured {
            figures, failure, ..
        } => {
            let figures = test.kind.metrics().iter().filter_map(|metric| {
                Some(format!(
                    "{} {}",
                    metric.text(*figures.get(metric)?),
                    metric.title()
                ))
            });
            figures
                .chain(failure.clone())
                .collect::<Vec<_>>()
                .join(", ")
        }
        Sample::Failed { why, .. } => format!("FAILED: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_name_and_by_beginning() {
        let names = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|&name| name.into()).collect();
            chosen(&asked).map(|chosen| {
                let tests = chosen.tests.iter().map(|test| test.name);
                (tests.collect::<Vec<_>>(), chosen.engine, chosen.broker)
            })
        };
        assert_eq!(
            names(&["retr", "logins"]).expect("known"),
            (vec!["retr-1", "retr-4", "logins"], false, false)
        );
        assert_eq!(
            names(&["noop-1"]).expect("known"),
            (vec!["noop-1"], false, false)
        );
        assert_eq!(names(&["engine"]).expect("known"), (vec![], true, false));
        assert_eq!(names(&["broker"]).expect("known"), (vec![], false, true));
        let (tests, engine, broker) = names(&[]).expect("all");
        assert_eq!((tests.len(), engine, broker), (TESTS.len(), true, true));
        assert!(names(&["speed"]).is_err());
    }
}
