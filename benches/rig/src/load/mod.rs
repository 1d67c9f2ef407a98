//! The clients: a process of its own that prepares, says so, works when told, and tells what came of it.

pub mod client;
pub mod job;
mod tally;
mod wire;
mod work;

use std::io::{BufRead as _, Write as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::oneshot;

use self::client::{Client, Failure};
use self::job::{Event, Job, Work};
use self::tally::Tally;
use self::wire::Trust;
use self::work::Orders;

/// Threads that carry clients; the machines that we measure on have two cores.
const THREADS: usize = 2;

/// How long the target may take until it serves.
const START: Duration = Duration::from_secs(15);

/// Does one job, given as JSON; the steps are told on standard output and released by lines on standard input.
pub fn run(job: &str) -> anyhow::Result<()> {
    let job: Job = serde_json::from_str(job).context("not a job")?;
    let trust = job.certificate.as_deref().map(Trust::load).transpose();
    match trust.and_then(|trust| prepared_and_done(&job, trust.as_ref())) {
        Ok(tally) => tell(&Event::Done(tally.outcome())),
        Err(e) => {
            let failure = e.downcast_ref::<Failure>();
            let why = failure.map_or_else(|| format!("{e:#}"), Failure::to_string);
            tell(&Event::Failed {
                why,
                wrong_byte: failure.is_some_and(Failure::is_wrong_byte),
            })
        }
    }
}

fn prepared_and_done(job: &Job, trust: Option<&Trust>) -> anyhow::Result<Tally> {
    reach(job, trust)?;
    tell(&Event::Reached)?;
    await_release()?;

    let crew = threads(job);
    let (report, reports) = mpsc::channel();
    let mut releases = Vec::new();
    let mut workers = Vec::new();
    for number in 0..crew {
        let (release, released) = oneshot::channel();
        let (orders, report) = (Orders::new(job, trust), report.clone());
        workers.push(std::thread::spawn(move || {
            work::thread(&orders, number, crew, &report, released)
        }));
        releases.push(release);
    }
    for _ in 0..crew {
        reports.recv().context("a thread ended")??;
    }
    tell(&Event::Ready)?;
    await_release()?;

    let start = Instant::now();
    for release in releases {
        release.send(start).ok().context("a thread ended")?;
    }
    let mut whole = Tally::default();
    for worker in workers {
        let Ok(tally) = worker.join() else {
            bail!("a thread of the load panicked")
        };
        whole.add(tally?);
    }
    Ok(whole)
}

/// Logs in once, as soon as the target listens.
fn reach(job: &Job, trust: Option<&Trust>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let deadline = Instant::now() + START;
        let mut tries = job.tries;
        loop {
            match Client::log_in(job.target, None, START, trust.map(Trust::fresh)).await {
                Ok(client) => return Ok(client.quit().await?),
                Err(failure) if failure.is_refused() && Instant::now() < deadline => {}
                Err(_) if tries > 1 => tries -= 1,
                Err(failure) => return Err(failure.into()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

/// One client needs one thread: a second would only be woken in vain.
fn threads(job: &Job) -> usize {
    let clients = match job.work {
        Work::Logins { at_once, .. } => at_once,
        Work::Bulk { .. } | Work::Files { .. } | Work::Noop { .. } | Work::Rest => {
            job.work.sessions().max(job.idle)
        }
    };
    clients.clamp(1, THREADS)
}

fn tell(event: &Event) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(event)?)?;
    Ok(out.flush()?)
}

fn await_release() -> anyhow::Result<()> {
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        bail!("nobody is listening any more");
    }
    Ok(())
}
