//! The one thread that looks after the gateway as a whole: questions, reloads, draining, the end.
//!
//! Invariant: whatever happens here, sessions go on; a config that cannot be used changes nothing.

mod answers;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::certificates::{self, Certificates};
use super::clock;
use super::control::ControlSocket;
use super::crew;
use super::documents::Documents;
use super::guard;
use super::restart::keep_what_needs_a_restart;
use super::settings::{self, Place, Tuning};
use super::shared::Shared;
use super::start::{Herald, Loader, Phase, journal_settings};
use super::status::{ListenerReport, ReloadReport, Request};
use super::upstream::Upstream;
use super::worker::Message;
use crate::config::Config;
use crate::config::files::Files;
use crate::engine::{Event, Record};
use crate::nft::{Firewall, Happening};

/// What the steward is told from inside the process.
#[derive(Debug)]
pub(super) enum Errand {
    Drain,
    End,
    Abandon,
    Happened(Happening),
    Reload(oneshot::Sender<Result<ReloadReport, String>>),
    Banned(guard::News),
    /// A login from this address was refused, which is banned.
    GuessedOn(IpAddr),
}

/// What the steward looks after.
pub(super) struct Steward {
    pub(super) shared: Arc<Shared>,
    pub(super) places: Vec<Arc<Place>>,
    pub(super) upstreams: BTreeMap<String, Arc<Upstream>>,
    pub(super) config: Config,
    pub(super) loader: Option<Loader>,
    pub(super) sandbox: Option<String>,
    pub(super) files: Arc<dyn Files>,
    pub(super) certificates: Certificates,
    pub(super) documents: Documents,
    pub(super) workers: Vec<mpsc::UnboundedSender<Message>>,
    pub(super) listeners: Vec<ListenerReport>,
    pub(super) draining: bool,
    pub(super) broker: Option<u32>,
    /// Where addresses are banned too, where there is one.
    pub(super) firewall: Option<Arc<dyn Firewall>>,
    pub(super) herald: Herald,
    /// The last reload, which may still wait for sessions.
    pub(super) reloading: Option<JoinHandle<()>>,
}

/// Looks after the gateway until its last worker is gone.
pub(super) async fn run(
    mut steward: Steward,
    control: Option<ControlSocket>,
    mut errands: mpsc::UnboundedReceiver<Errand>,
    mut all_gone: mpsc::Receiver<Infallible>,
) {
    // An earlier gateway's bans may be such as this config never makes.
    steward.replace_guard(&steward.config.login_guard);
    let (ask, mut asked) = mpsc::unbounded_channel();
    let mut serving = control.map(|control| tokio::spawn(control.serve(ask.clone())));
    for upstream in steward.upstreams.values() {
        let (upstream, shared) = (Arc::clone(upstream), Arc::clone(&steward.shared));
        tokio::spawn(async move { upstream.probe(&shared).await });
    }
    let mut end_at = None;
    let mut look = tokio::time::interval(certificates::LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let deadline = async {
            match end_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let ban_ends = steward.shared.guard.next_end();
        let ban_ends = ban_ends.map(|at| steward.shared.clock.instant(at));
        let ban_ends = async move {
            match ban_ends {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Nobody sends: it ends when the last worker has dropped its half.
            _ = all_gone.recv() => break,
            () = deadline => {
                tracing::warn!("timeouts.drain is over: the sessions that are left are ended");
                end_at = None;
                steward.tell_all(|| Message::End);
            }
            Some(errand) = errands.recv() => match errand {
                Errand::Drain => end_at = end_at.or(steward.drain()),
                Errand::End => {
                    steward.stop();
                    end_at = None;
                    steward.tell_all(|| Message::End);
                }
                Errand::Abandon => {
                    tracing::error!("the broker is gone: nothing new can be opened");
                    if let Some(serving) = serving.take() {
                        serving.abort();
                    }
                    end_at = end_at.or(steward.drain());
                }
                Errand::Happened(happening) => steward.note(happening),
                Errand::Banned(news) => steward.see_to_ban(news),
                Errand::GuessedOn(client) => steward.see_to_guesses(client),
                Errand::Reload(answer) => steward.reload(|outcome| {
                    // Whoever asked may not wait for the answer; the log has it.
                    let _ = answer.send(outcome);
                }),
            },
            () = ban_ends => steward.see_to_ends(),
            _ = look.tick() => steward.look_at_certificates(),
            Some((request, answer)) = asked.recv() => {
                if request == Request::Drain {
                    end_at = end_at.or(steward.drain());
                }
                steward.answer(request, answer);
            }
        }
    }
    // Dropping the task drops the socket, and its file with it.
    if let Some(serving) = serving {
        serving.abort();
        let _ = serving.await;
    }
    tracing::info!("stopped");
}

impl Steward {
    /// Begins to drain, once; answers when it is to be over.
    fn drain(&mut self) -> Option<Instant> {
        if !self.stop() {
            return None;
        }
        self.tell_all(|| Message::Drain);
        Some(Instant::now() + self.shared.tuning.load().drain)
    }

    /// Says that the end has begun, once.
    fn stop(&mut self) -> bool {
        if std::mem::replace(&mut self.draining, true) {
            return false;
        }
        let sessions = u64::from(self.shared.admission.sessions());
        tracing::info!("stopping: no new sessions; {sessions} still run");
        (self.herald)(Phase::Stopping);
        record(&self.shared, Event::GatewayStopping { sessions });
        true
    }

    /// Sees to what happened in the firewall.
    fn note(&self, happening: Happening) {
        match happening {
            Happening::Knocked { from, at, more } => {
                if more > 0 {
                    tracing::info!(%from, %at, more, "strangers knock at shut ports");
                }
                // No effect waits for it; the journal itself counts what it lost.
                let _ = self.shared.journal.write(&Record {
                    at: clock::wall(),
                    session: None,
                    client: Some(from.ip()),
                    user: None,
                    event: Event::PinholeIntruder { from, at },
                });
            }
            Happening::Restored => {
                tracing::warn!(
                    "another program removed our table from the firewall; it is restored, and transfers that the kernel carried are ended"
                );
                self.tell_all(|| Message::FirewallRestored);
            }
            // Whoever waits for it was told.
            Happening::Used { .. } => {}
        }
    }

    pub(super) fn tell_all(&self, message: impl Fn() -> Message) {
        for worker in &self.workers {
            // A worker that is gone has no sessions.
            let _ = worker.send(message());
        }
    }

    /// Reopens the journal, reads the config again and puts it in force. Says so, and answers, when the sessions that run have
    /// it too: what a client says behind that is judged by the new rules.
    fn reload(&mut self, answer: impl FnOnce(Result<ReloadReport, String>) + Send + 'static) {
        self.shared.journal.reopen();
        (self.herald)(Phase::Reloading);
        let outcome = self.replace_config();
        let told = match outcome {
            Ok(_) => self.ask_all(Message::Reload),
            Err(_) => Vec::new(),
        };
        let rules = self.documents.rules_digest.clone();
        let (shared, herald) = (Arc::clone(&self.shared), Arc::clone(&self.herald));
        let before = self.reloading.take();
        // This waits for the workers, and the steward must not.
        self.reloading = Some(tokio::spawn(async move {
            if let Some(before) = before {
                // One that broke off has nothing more to say.
                let _ = before.await;
            }
            for worker in told {
                // A worker that is gone has no sessions.
                let _ = worker.await;
            }
            tell_of_reload(&shared, &herald, &outcome, rules);
            answer(outcome);
        }));
    }

    fn replace_config(&mut self) -> Result<ReloadReport, String> {
        let loader = self.loader.as_ref();
        let loader =
            loader.ok_or("this gateway was started without a config that could be read again")?;
        let mut new = loader()?;
        let documents = Documents::load(&new, &*self.files).map_err(|error| error.to_string())?;
        documents.warn();
        let needs_restart = keep_what_needs_a_restart(&self.config, &mut new);
        let journal = self.shared.journal.replace_settings(journal_settings(&new));
        journal.map_err(|error| format!("the new journal.file cannot be opened: {error}"))?;
        self.upstreams = settings::upstreams(&new, &self.upstreams);
        self.certificates.replace(&documents.material);
        self.documents = documents;
        self.put_in_force(&new);
        self.shared.tuning.store(Arc::new(Tuning::of(&new)));
        self.shared.admission.replace(&new.limits);
        self.shared.users.replace(new.limits.sessions_per_user);
        self.replace_guard(&new.login_guard);
        crew::told_of_more(&self.config, &new);
        self.config = new;
        Ok(ReloadReport {
            config: settings::digest(&self.config),
            needs_restart,
        })
    }
}

impl Steward {
    fn put_in_force(&self, config: &Config) {
        let policies = settings::policies(config, &self.upstreams, &self.documents);
        for (name, policy) in policies {
            if let Some(place) = self.places.iter().find(|place| *place.name == *name) {
                place.replace(policy);
            }
        }
    }

    /// Reads certificates and keys again, puts new ones in force, and warns of those that end soon.
    fn look_at_certificates(&mut self) {
        if !self.certificates.are_any() {
            return;
        }
        if let Some(material) = self.certificates.changed(&self.config, &*self.files) {
            self.certificates.replace(&material);
            self.documents.material = material;
            self.put_in_force(&self.config);
            self.ask_all(Message::Reload);
            tracing::info!("certificates have changed on disk; new sessions get the new ones");
        }
        for (file, days) in self.certificates.expiring(SystemTime::now()) {
            tracing::warn!(
                "the certificate in {} expires in {days} days; renew it",
                file.display()
            );
            let file = file.display().to_string();
            record(&self.shared, Event::CertificateExpiring { file, days });
        }
    }
}

/// Says in the log, in the journal and to the service manager what became of a reload.
fn tell_of_reload(
    shared: &Shared,
    herald: &Herald,
    outcome: &Result<ReloadReport, String>,
    rules: String,
) {
    let event = match outcome {
        Ok(report) => Event::GatewayReloaded {
            config: report.config.clone(),
            rules,
        },
        Err(why) => Event::ReloadRefused { why: why.clone() },
    };
    record(shared, event);
    match outcome {
        Ok(report) if report.needs_restart.is_empty() => tracing::info!("the config was reloaded"),
        Ok(report) => tracing::warn!(
            "the config was reloaded; these changes wait for a restart: {}",
            report.needs_restart.join(", "),
        ),
        Err(why) => {
            tracing::error!("the config was not reloaded, the old one stays in force:\n{why}");
        }
    }
    herald(Phase::Reloaded {
        in_force: outcome.is_ok(),
    });
}

/// Writes a record of the gateway itself.
pub(super) fn record(shared: &Shared, event: Event) {
    // No effect waits for it; the journal itself counts what it lost.
    let _ = shared.journal.write(&Record {
        at: clock::wall(),
        session: None,
        client: None,
        user: None,
        event,
    });
}
