//! What a session waits for that is neither a peer nor data: the dial of its upstream, or an answer at an exit point.
//!
//! There is one at most: the engine asks nobody while it has no upstream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::super::exit_points::{ask_fault, helper_exit};
use super::super::stream::Control;
use super::super::upstream::Connected;
use super::Driver;
use crate::engine::{AskFault, DialError, Input, Legs, QuestionId};
use crate::policy::Ask;

/// What is awaited.
pub(super) type Errand = Pin<Box<dyn Future<Output = Done>>>;

/// What came of it.
pub(super) enum Done {
    Dialled(Result<Box<Connected>, DialError>),
    Answered(QuestionId, Result<Vec<u8>, AskFault>),
}

impl Driver {
    pub(super) fn dial_upstream(&mut self) {
        let upstream = Arc::clone(&self.upstream);
        let shared = Arc::clone(self.worker.shared());
        self.errand = Some(Box::pin(async move {
            Done::Dialled(upstream.dial(&shared).await.map(Box::new))
        }));
    }

    /// Leaves the upstream as it stands: it has heard of nobody yet.
    pub(super) fn move_upstream(&mut self, to: &str) {
        let policy = self.place.policy.load();
        let found = policy.upstream(to).map(Arc::clone);
        self.controls.upstream = None;
        self.upstream_seat = None;
        match found {
            Some(upstream) => {
                self.upstream = upstream;
                self.dial_upstream();
            }
            // It went with a reload in between.
            None => {
                let gone = std::future::ready(Done::Dialled(Err(DialError::NoSuchName)));
                self.errand = Some(Box::pin(gone));
            }
        }
    }

    pub(super) fn ask(&mut self, id: QuestionId, ask: &Ask, question: Vec<u8>) {
        let exits = Arc::clone(&self.worker.shared().exits);
        let (exit, timeout) = (helper_exit(&ask.exit), ask.timeout);
        self.errand = Some(Box::pin(async move {
            let answer = exits.ask(exit, question, timeout).await;
            Done::Answered(id, answer.map_err(ask_fault))
        }));
    }

    pub(super) fn poll_errand(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(errand) = &mut self.errand else {
            return false;
        };
        let Poll::Ready(done) = errand.as_mut().poll(cx) else {
            return false;
        };
        self.errand = None;
        match done {
            Done::Dialled(Ok(connected)) => self.connected(cx, *connected),
            Done::Dialled(Err(why)) => self.tell(cx, Input::UpstreamUnreachable { why }),
            Done::Answered(id, answer) => self.tell(cx, Input::Answered { id, answer }),
        }
        true
    }

    fn connected(&mut self, cx: &mut Context<'_>, connected: Connected) {
        let (gateway, upstream) = (connected.gateway, connected.upstream);
        self.controls.upstream = Some(Control::new(connected.wire));
        self.upstream_seat = Some(connected.seat);
        if let Some(host) = connected.dialled {
            self.secure.get_or_insert_default().dialled = Some(host);
        }
        let facts = self.session.facts();
        let (client, target) = (facts.client.ip(), facts.target.ip());
        let pinholes = &self.worker.shared().pinholes;
        let forwardable = pinholes.can_forward(client, upstream.ip());
        let (ours, peers) = (
            Legs {
                client: target,
                upstream: gateway.ip(),
            },
            Legs {
                client,
                upstream: upstream.ip(),
            },
        );
        // Whoever can be forwarded is another host.
        let shut = match forwardable {
            true => None,
            false => pinholes.shut_at(ours, peers),
        };
        self.tell(
            cx,
            Input::UpstreamConnected {
                gateway,
                upstream,
                forwardable,
                shut,
            },
        );
    }
}
