//! What a session remembers of TLS with its upstream, so that its data connections resume the control connection's.
//!
//! A session speaks with one server, so the names that the trait hands in say nothing here.
//!
//! Invariant: bounded; a ticket of TLS 1.3 is used once (RFC 8446 appendix C.4), as servers may insist on that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

use super::habit::Habit;

/// Most tickets that are kept; the newest are used first.
const TICKETS: usize = 8;

/// Sessions with one server.
#[derive(Debug, Default)]
pub(super) struct ServerMemory {
    known: Mutex<Known>,
    habit: Arc<Habit>,
}

#[derive(Debug, Default)]
struct Known {
    group: Option<NamedGroup>,
    old: Option<Box<Tls12ClientSessionValue>>,
    tickets: VecDeque<Tls13ClientSessionValue>,
    /// Whether there ever was one.
    given: bool,
}

impl ServerMemory {
    pub(super) fn new(habit: Arc<Habit>) -> ServerMemory {
        ServerMemory {
            known: Mutex::default(),
            habit,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Known) -> T) -> T {
        act(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientSessionStore for ServerMemory {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.with(|known| known.group = Some(group));
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.with(|known| known.group)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.with(|known| known.old = Some(Box::new(value)));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.with(|known| known.old.as_deref().cloned())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.with(|known| known.old = None);
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.with(|known| {
            if known.tickets.len() >= TICKETS {
                known.tickets.pop_front();
            }
            known.tickets.push_back(value);
            known.given = true;
        });
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let (ticket, given) = self.with(|known| (known.tickets.pop_back(), known.given));
        if ticket.is_none() && given {
            self.habit.tickets_ran_short();
        }
        ticket
    }
}
