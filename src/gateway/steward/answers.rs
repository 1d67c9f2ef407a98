//! What the control socket asks for, and what is answered.

use std::time::SystemTime;

use tokio::sync::oneshot;

use super::super::status::{
    JournalReport, ProcessReport, Request, Response, SessionReport, StatusReport,
};
use super::super::worker::Message;
use super::Steward;

impl Steward {
    /// Does what the control socket asks for, and answers.
    pub(super) fn answer(&mut self, request: Request, answer: oneshot::Sender<Response>) {
        match request {
            Request::Status => reply(answer, Response::Status(Box::new(self.status()))),
            Request::Drain => {
                let sessions = self.shared.admission.sessions();
                reply(answer, Response::Draining(u64::from(sessions)));
            }
            Request::Reload => self.reload(|outcome| {
                let response = outcome.map_or_else(Response::Error, Response::Reloaded);
                reply(answer, response);
            }),
            Request::Bans => reply(answer, Response::Bans(self.shared.guard.reports())),
            Request::Ban { network, time } => {
                reply(answer, self.ordered_ban(&network, time.as_deref()));
            }
            Request::Unban { address } => reply(answer, self.ordered_unban(&address)),
            // These wait for the workers, and the steward must not.
            Request::Sessions => {
                let asked: Vec<_> = self.ask_all(Message::Sessions);
                tokio::spawn(async move {
                    let mut sessions: Vec<SessionReport> = Vec::new();
                    for answered in asked {
                        sessions.extend(answered.await.unwrap_or_default());
                    }
                    sessions
                        .sort_by(|a, b| b.age_seconds.cmp(&a.age_seconds).then(a.id.cmp(&b.id)));
                    reply(answer, Response::Sessions(sessions));
                });
            }
            Request::Kill { session } => {
                let asked = self.ask_all(|answer| Message::Kill(session.clone(), answer));
                tokio::spawn(async move {
                    let mut found = false;
                    for answered in asked {
                        found |= answered.await.unwrap_or(false);
                    }
                    let none = || Response::Error(format!("no session {session:?} runs here"));
                    reply(
                        answer,
                        if found {
                            Response::Killed(session.clone())
                        } else {
                            none()
                        },
                    );
                });
            }
        }
    }

    pub(super) fn ask_all<T>(
        &self,
        question: impl Fn(oneshot::Sender<T>) -> Message,
    ) -> Vec<oneshot::Receiver<T>> {
        let asked = self.workers.iter().map(|worker| {
            let (answer, answered) = oneshot::channel();
            // A worker that is gone drops the question, which is an answer.
            let _ = worker.send(question(answer));
            answered
        });
        asked.collect()
    }

    fn status(&self) -> StatusReport {
        let shared = &self.shared;
        let journal = shared.journal.state();
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: shared.clock.mono().as_secs(),
            draining: self.draining,
            listeners: self.listeners.clone(),
            sessions: u64::from(shared.admission.sessions()),
            transfers: shared.gauges.transfers(),
            pinholes: shared.gauges.pinholes(),
            journal: JournalReport {
                accepting: journal.accepting,
                records: journal.records,
                lost: journal.lost,
            },
            certificates: self.certificates.report(SystemTime::now()),
            guard: shared.pinholes.guard().word().to_owned(),
            firewall: self.config.pinholes.firewall.to_string(),
            process: ProcessReport {
                gateway: std::process::id(),
                broker: self.broker,
            },
            sandbox: self.sandbox.clone(),
            login_guard: shared.guard.report(),
            observed: shared.observed.report(),
        }
    }
}

fn reply(answer: oneshot::Sender<Response>, response: Response) {
    // Whoever asked may have hung up.
    let _ = answer.send(response);
}
