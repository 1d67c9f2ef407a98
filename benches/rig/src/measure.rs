//! One measurement: one peer, one test, everything started for it and ended after it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

use crate::identity::Identity;
use crate::load::job::{Event, Job, Mode, Outcome};
use crate::meter::{self, Cgroup, Memory, Meter};
use crate::network::{Place, Ruleset};
use crate::peer::{Ability, Peer};
use crate::plan::{Extent, Kind, Metric, Test};
use crate::process::{Running, Wires};

/// Longest time for one step of the load.
const STEP: Duration = Duration::from_secs(240);

/// How long sessions rest before memory is read, and a gateway before it is put to work.
const SETTLE: Duration = Duration::from_millis(300);
const REST: Duration = Duration::from_secs(2);

/// One measurement's result.
#[derive(Debug)]
pub enum Sample {
    /// Figures, and what failed meanwhile.
    Measured {
        /// The figures.
        figures: BTreeMap<Metric, f64>,
        /// The first failure and how many there were.
        failure: Option<String>,
        /// Whether a byte was wrong.
        wrong_byte: bool,
    },
    /// The peer could not be brought to do it.
    Failed {
        /// What happened.
        why: String,
        /// Whether the gateway never served at all: no other test is worth a try.
        absent: bool,
        /// Whether a byte was wrong.
        wrong_byte: bool,
    },
}

/// What is alike for all measurements of a run.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Quick or full.
    pub extent: Extent,
    /// PASV or EPSV.
    pub passive: Mode,
    /// Our program.
    pub portcullis: &'a Path,
    /// What gateways with TLS show.
    pub identity: &'a Identity,
    /// A directory for files that last as long as the run.
    pub directory: &'a Path,
    /// Such a directory that is not on a disk.
    pub in_memory: &'a Path,
}

/// Readings around the work.
struct Readings {
    at_rest: Memory,
    filled: Memory,
    gateway: Duration,
    machine: Duration,
}

/// Measures once.
pub async fn measure(peer: Peer, test: Test, around: &Circumstances<'_>) -> Sample {
    let parent = if peer.wants_files_in_memory() {
        around.in_memory
    } else {
        around.directory
    };
    let directory = parent.join(peer.name());
    let absent = |e: anyhow::Error| Sample::Failed {
        why: format!("{e:#}"),
        absent: true,
        wrong_byte: false,
    };
    let started = std::fs::remove_dir_all(&directory)
        .or_else(|e| {
            if e.kind() == std::io::ErrorKind::NotFound {
                Ok(())
            } else {
                Err(e)
            }
        })
        .and_then(|()| std::fs::create_dir(&directory))
        .context("temporary directory")
        .and_then(|()| peer.set_up(&directory, around.portcullis, around.identity));
    let setup = match started {
        Ok(setup) => setup,
        Err(e) => return absent(e),
    };
    let mut job = test.kind.job(around.extent, setup.target, around.passive);
    if test.tls {
        job.certificate = Some(around.identity.certificate.clone());
    }
    if !peer.must_succeed() {
        job.tries = 3;
    }
    if let Ability::Fewer(sessions, _) = peer.ability(test, around.passive) {
        job.idle = sessions;
    }
    let backend = match start_backend(&directory, &setup.backend).await {
        Ok(backend) => backend,
        Err(e) => return absent(e.context("the rig's own backend")),
    };
    // Declared before the gateway, so that they are removed after the gateway has ended; ours leaves its table.
    let wants_rules = !setup.ruleset.is_empty() || peer == Peer::PortcullisNft;
    let _ruleset = match wants_rules
        .then(|| Ruleset::load(&setup.ruleset))
        .transpose()
    {
        Ok(ruleset) => ruleset,
        Err(e) => return absent(e),
    };
    let cgroup = setup.gateway.as_ref().and_then(|_| Cgroup::create());
    let gateway = setup.gateway.as_ref().map(|(program, arguments)| {
        let log = File::create(directory.join("gateway.log"))?;
        let inside = cgroup.as_ref().map(Cgroup::directory);
        Running::start(Place::Gateway, inside, program, arguments, Wires::Log(log))
    });
    let mut gateway = match gateway.transpose() {
        Ok(gateway) => gateway,
        Err(e) => return absent(e),
    };
    let worked = work(&directory, &job, test, gateway.as_mut(), cgroup.as_ref()).await;
    drop((gateway, backend));
    match worked {
        Ok(sample) => sample,
        Err(e) => Sample::Failed {
            why: format!("{e:#}"),
            absent: false,
            wrong_byte: false,
        },
    }
}

async fn start_backend(directory: &Path, arguments: &[OsString]) -> anyhow::Result<Running> {
    let wires = Wires::Pipes(File::create(directory.join("backend.log"))?);
    let mut backend = Running::start(
        Place::Server,
        None,
        &std::env::current_exe()?,
        arguments,
        wires,
    )?;
    let out = backend.child().stdout.take().context("no pipe")?;
    let mut lines = BufReader::new(ChildStdout::from_std(out)?).lines();
    match tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await?? {
        Some(_) => Ok(backend),
        None => bail!(
            "ended at once: {}",
            last_line(&directory.join("backend.log"))
        ),
    }
}

/// Lets the load work and reads the meters around it.
async fn work(
    directory: &Path,
    job: &Job,
    test: Test,
    gateway: Option<&mut Running>,
    cgroup: Option<&Cgroup>,
) -> anyhow::Result<Sample> {
    let root = gateway.as_ref().map(|gateway| gateway.id());
    let meter = root.map(|root| Meter { cgroup, root });
    let memory = || meter.as_ref().map(Meter::memory).unwrap_or_default();
    let cpu = || meter.as_ref().map(Meter::cpu).unwrap_or_default();
    let mut load = Load::start(directory, job)?;

    let reached = tokio::select! {
        event = load.next() => event?,
        status = ended(gateway) => {
            let why = format!("ended ({status}): {}", last_line(&directory.join("gateway.log")));
            return Ok(Sample::Failed { why, absent: true, wrong_byte: false });
        }
    };
    match reached {
        Event::Reached => {}
        Event::Failed { why, wrong_byte } => {
            return Ok(Sample::Failed {
                why,
                absent: true,
                wrong_byte,
            });
        }
        Event::Ready | Event::Done(_) => bail!("the load is out of step"),
    }
    let at_rest = memory();
    load.release().await?;
    match load.next().await? {
        Event::Ready => {}
        Event::Failed { why, wrong_byte } => {
            return Ok(Sample::Failed {
                why,
                absent: false,
                wrong_byte,
            });
        }
        Event::Reached | Event::Done(_) => bail!("the load is out of step"),
    }
    tokio::time::sleep(if matches!(test.kind, Kind::Rest { .. }) {
        REST
    } else {
        SETTLE
    })
    .await;
    let filled = memory();
    let (gateway_before, machine_before) = (cpu(), meter::machine_busy());
    load.release().await?;
    match load.next().await? {
        Event::Done(outcome) => {
            let gateway = cpu().saturating_sub(gateway_before);
            let machine = meter::machine_busy().saturating_sub(machine_before);
            let readings = Readings {
                at_rest,
                filled,
                gateway,
                machine,
            };
            Ok(sample(job, test, &outcome, &readings, meter.is_some()))
        }
        Event::Failed { why, wrong_byte } => Ok(Sample::Failed {
            why,
            absent: false,
            wrong_byte,
        }),
        Event::Reached | Event::Ready => bail!("the load is out of step"),
    }
}

/// Waits until the gateway ends, which it should not; without one for ever.
async fn ended(gateway: Option<&mut Running>) -> ExitStatus {
    let Some(gateway) = gateway else {
        return std::future::pending().await;
    };
    loop {
        if let Ok(Some(status)) = gateway.ended() {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The load's process and the conversation with it.
struct Load {
    process: Running,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Load {
    fn start(directory: &Path, job: &Job) -> anyhow::Result<Self> {
        let arguments = ["load".into(), serde_json::to_string(job)?.into()];
        let wires = Wires::Pipes(File::create(directory.join("load.log"))?);
        let mut process = Running::start(
            Place::Client,
            None,
            &std::env::current_exe()?,
            &arguments,
            wires,
        )?;
        let input = ChildStdin::from_std(process.child().stdin.take().context("no pipe")?)?;
        let out = ChildStdout::from_std(process.child().stdout.take().context("no pipe")?)?;
        Ok(Self {
            process,
            input,
            lines: BufReader::new(out).lines(),
        })
    }

    async fn next(&mut self) -> anyhow::Result<Event> {
        let begun = Instant::now();
        let line = tokio::time::timeout(STEP, self.lines.next_line())
            .await
            .context("the load takes too long")??;
        let Some(line) = line else {
            bail!(
                "the load (process {}) ended after {:?}",
                self.process.id(),
                begun.elapsed()
            );
        };
        serde_json::from_str(&line).context("the load speaks strangely")
    }

    async fn release(&mut self) -> anyhow::Result<()> {
        Ok(self.input.write_all(b"go\n").await?)
    }
}

/// Computes the figures.
fn sample(
    job: &Job,
    test: Test,
    outcome: &Outcome,
    readings: &Readings,
    has_gateway: bool,
) -> Sample {
    let of_all = outcome.operations + outcome.failed;
    let failure = outcome
        .first_failure
        .as_ref()
        .map(|first| format!("{} of {of_all} failed: {first}", outcome.failed));
    let wrong_byte = outcome.wrong_bytes > 0;
    if outcome.operations == 0 {
        return Sample::Failed {
            why: failure.unwrap_or_else(|| "nothing was done".into()),
            absent: false,
            wrong_byte,
        };
    }
    let (operations, gib) = (
        outcome.operations as f64,
        outcome.bytes as f64 / f64::from(1 << 30),
    );
    let per_session = |more: f64| more / job.idle as f64;
    let figure = |metric: Metric| {
        let gateway = has_gateway.then_some(readings.gateway.as_secs_f64());
        let machine = readings.machine.as_secs_f64();
        match metric {
            Metric::Throughput => Some(outcome.bytes as f64 / 1e9 / outcome.seconds),
            Metric::GatewayPerGib => gateway.map(|seconds| seconds / gib),
            Metric::RigPerGib => Some(machine / gib),
            Metric::Rate => Some(operations / outcome.seconds),
            Metric::P50 => Some(outcome.p50),
            Metric::P99 => Some(outcome.p99),
            Metric::GatewayPerOperation => gateway.map(|seconds| seconds * 1e6 / operations),
            Metric::RigPerOperation => Some(machine * 1e6 / operations),
            Metric::PssPerSession => Some(per_session(readings.filled.pss - readings.at_rest.pss)),
            Metric::KernelPerSession => readings
                .filled
                .kernel
                .zip(readings.at_rest.kernel)
                .map(|(filled, at_rest)| per_session(filled - at_rest)),
            Metric::Completed => Some(operations),
            Metric::Wall => Some(outcome.seconds),
            Metric::GatewayTotal => gateway,
        }
    };
    let figures = test
        .kind
        .metrics()
        .iter()
        .filter_map(|&metric| Some((metric, figure(metric)?)))
        .collect();
    Sample::Measured {
        figures,
        failure,
        wrong_byte,
    }
}

fn last_line(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("no message")
        .to_owned()
}
