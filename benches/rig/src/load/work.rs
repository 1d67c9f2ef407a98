//! One thread of the load: its share of the sessions, logged in, then at work.

use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::client::{Client, Failure};
use super::job::{Job, Work};
use super::tally::Tally;
use super::wire::Trust;
use crate::pattern::{self, Pattern};

/// Logins that one thread has under way at once while preparing; more, and mod_proxy drops some.
const LOGINS: usize = 4;

/// What every session of a thread is told.
#[derive(Clone)]
pub struct Orders {
    job: Job,
    trust: Option<Trust>,
}

impl Orders {
    /// Copies them for a thread.
    pub fn new(job: &Job, trust: Option<&Trust>) -> Self {
        Self {
            job: job.clone(),
            trust: trust.cloned(),
        }
    }
}

/// Prepares this thread's share, reports, awaits the release (an instant: the start) and works.
pub fn thread(
    orders: &Orders,
    number: usize,
    crew: usize,
    report: &mpsc::Sender<anyhow::Result<()>>,
    released: oneshot::Receiver<Instant>,
) -> anyhow::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let reel = Arc::new(pattern::reel()?);
    let job = &orders.job;
    runtime.block_on(async {
        let prepared = async {
            let idle = open(orders, (number..job.idle).step_by(crew)).await?;
            let mut busy = open(orders, (number..job.work.sessions()).step_by(crew)).await?;
            for client in &mut busy {
                client.binary().await?;
            }
            Ok::<_, Failure>((idle, busy))
        };
        let (mut idle, busy) = match prepared.await {
            Ok(clients) => clients,
            Err(e) => {
                report.send(Err(e.into())).ok();
                return Ok(Tally::default());
            }
        };
        report.send(Ok(())).ok();
        let start = released.await?;
        let mut tally = work(orders, number, crew, busy, &reel, start).await;
        if job.work == Work::Rest {
            tally.add(ask_all(&mut idle).await);
        }
        // Closing thousands of sessions is no part of it.
        tally.end(start.elapsed());
        Ok(tally)
    })
}

/// Opens the sessions of the given numbers; the first that fails ends the attempt.
async fn open(
    orders: &Orders,
    numbers: impl Iterator<Item = usize>,
) -> Result<Vec<Client>, Failure> {
    let turns = Arc::new(Semaphore::new(LOGINS));
    let mut opening = JoinSet::new();
    for number in numbers {
        let (turns, orders) = (Arc::clone(&turns), orders.clone());
        opening.spawn(async move {
            let _turn = turns.acquire().await;
            log_in_at_last(&orders, number).await
        });
    }
    let mut open = Vec::new();
    while let Some(client) = opening.join_next().await {
        open.push(client.expect("a login of the load panicked")?);
    }
    Ok(open)
}

async fn log_in_at_last(orders: &Orders, number: usize) -> Result<Client, Failure> {
    for _ in 1..orders.job.tries {
        if let Ok(client) = log_in(orders, number).await {
            return Ok(client);
        }
    }
    log_in(orders, number).await
}

async fn log_in(orders: &Orders, number: usize) -> Result<Client, Failure> {
    let Orders { job, trust } = orders;
    let from = number.checked_rem(job.addresses).map(|n| n as u32);
    let security = trust.as_ref().map(Trust::fresh);
    Client::log_in(
        job.target,
        from,
        Duration::from_secs(job.patience),
        security,
    )
    .await
}

/// Does the work with this thread's sessions, all at once.
async fn work(
    orders: &Orders,
    number: usize,
    crew: usize,
    busy: Vec<Client>,
    reel: &Arc<OwnedFd>,
    start: Instant,
) -> Tally {
    let mut at_work = JoinSet::new();
    let job = &orders.job;
    for (turn, client) in busy.into_iter().enumerate() {
        let (job, reel) = (job.clone(), Arc::clone(reel));
        at_work.spawn(async move {
            session(&job, (turn * crew + number) as u64, client, &reel, start).await
        });
    }
    if let Work::Logins { at_once, millis } = job.work {
        for client in (number..at_once).step_by(crew) {
            let orders = orders.clone();
            at_work.spawn(async move {
                logins(&orders, client, start + Duration::from_millis(millis)).await
            });
        }
    }
    let mut whole = Tally::default();
    while let Some(tally) = at_work.join_next().await {
        // A task that panicked is a bug of the rig: let it be seen.
        whole.add(tally.expect("a session of the load panicked"));
    }
    whole
}

/// One session's work; the first failure ends it, since the session may be out of step.
async fn session(
    job: &Job,
    number: u64,
    mut client: Client,
    reel: &OwnedFd,
    start: Instant,
) -> Tally {
    let mut tally = Tally::default();
    match job.work {
        Work::Bulk { upload, bytes, .. } => {
            let pattern = Pattern {
                size: bytes,
                seed: number,
            };
            let carried = match upload {
                true => client.store(pattern, job.mode, reel).await,
                false => client.retrieve(pattern, job.mode).await,
            };
            tally.count(carried, bytes, start.elapsed());
        }
        Work::Files { bytes, millis, .. } => {
            let end = start + Duration::from_millis(millis);
            for turn in 0.. {
                let begun = Instant::now();
                let pattern = Pattern {
                    size: bytes,
                    seed: number << 32 | turn,
                };
                let carried = client.retrieve(pattern, job.mode).await;
                if !tally.count(carried, bytes, begun.elapsed()) || Instant::now() >= end {
                    break;
                }
            }
        }
        Work::Noop { millis, .. } => {
            let end = start + Duration::from_millis(millis);
            loop {
                let begun = Instant::now();
                if !tally.count(client.noop().await, 0, begun.elapsed()) || Instant::now() >= end {
                    break;
                }
            }
        }
        Work::Logins { .. } | Work::Rest => {}
    }
    tally
}

async fn logins(orders: &Orders, number: usize, end: Instant) -> Tally {
    let mut tally = Tally::default();
    loop {
        let begun = Instant::now();
        let left = match log_in(orders, number).await {
            Ok(client) => client.quit().await,
            Err(e) => Err(e),
        };
        if !tally.count(left, 0, begun.elapsed()) || Instant::now() >= end {
            return tally;
        }
    }
}

/// Sends one NOOP in every session, one after another.
async fn ask_all(idle: &mut [Client]) -> Tally {
    let mut tally = Tally::default();
    for client in idle {
        let begun = Instant::now();
        tally.count(client.noop().await, 0, begun.elapsed());
    }
    tally
}
