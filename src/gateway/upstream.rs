//! Reaches an upstream: resolves its names, dials its addresses in order, and remembers which are dead.
//!
//! Invariant: a client knows within `timeouts.connect` whether an upstream can be reached, however many addresses it
//! has; `max_sessions` is never exceeded. Names are resolved anew at each dial, so that a moved server is found.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpStream;

use super::shared::Shared;
use super::wire::{self, Wire};
use crate::config::{self, Host, UpstreamAddress};
use crate::engine::DialError;
use crate::helper::Names;
use crate::pinhole;

/// How long an address that failed is tried after all others.
const DEAD_FOR: Duration = Duration::from_secs(30);

/// The least time that one of several addresses gets before the next is tried.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);

/// An FTP server that sessions are carried to.
#[derive(Debug)]
pub(super) struct Upstream {
    name: Arc<str>,
    config: config::Upstream,
    sessions: Arc<AtomicU32>,
    dead: Mutex<HashMap<SocketAddr, Instant>>,
}

/// A session's place at its upstream; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    sessions: Arc<AtomicU32>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A control connection to an upstream that came up.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) wire: Wire,
    pub(super) gateway: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) seat: Seat,
    /// What it was dialled as, where it is spoken to over TLS.
    pub(super) dialled: Option<Host>,
}

impl Upstream {
    pub(super) fn new(name: &str, config: &config::Upstream) -> Upstream {
        Upstream {
            name: Arc::from(name),
            config: config.clone(),
            sessions: Arc::default(),
            dead: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Tells whether this is the upstream that the config describes.
    pub(super) fn is(&self, config: &config::Upstream) -> bool {
        self.config == *config
    }

    /// Dials the upstream's control connection for a session.
    pub(super) async fn dial(self: Arc<Self>, shared: &Shared) -> Result<Connected, DialError> {
        let seat = self.take_seat().ok_or(DialError::Busy)?;
        let (stream, upstream, host) = self.connect(shared).await?;
        let prepared = || -> io::Result<SocketAddr> {
            let keepalive = shared.tuning.load().keepalive;
            wire::tune(&SockRef::from(&stream), keepalive, false)?;
            stream.local_addr()
        };
        // It came up and broke at once.
        let gateway = prepared().map_err(|_| DialError::Other)?;
        Ok(Connected {
            wire: Wire::Dialled(stream),
            gateway,
            upstream,
            seat,
            dialled: match self.config.tls.mode {
                config::UpstreamTlsMode::None => None,
                config::UpstreamTlsMode::Explicit | config::UpstreamTlsMode::Implicit => host,
            },
        })
    }

    /// Tells whether the upstream can be reached, and warns if not: once, at start.
    pub(super) async fn probe(&self, shared: &Shared) {
        if let Err(why) = self.connect(shared).await {
            let addresses: Vec<_> = self
                .config
                .addresses
                .iter()
                .map(ToString::to_string)
                .collect();
            tracing::warn!(
                "upstream {} ({}) cannot be reached: {why}; clients get 421 until it is back",
                self.name,
                addresses.join(", "),
            );
        }
    }

    fn take_seat(&self) -> Option<Seat> {
        let most = self.config.max_sessions.map_or(u32::MAX, |most| most.get());
        let taken = self
            .sessions
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sessions| {
                (sessions < most).then_some(sessions + 1)
            });
        taken.ok().map(|_| Seat {
            sessions: Arc::clone(&self.sessions),
        })
    }

    async fn connect(
        &self,
        shared: &Shared,
    ) -> Result<(TcpStream, SocketAddr, Option<Host>), DialError> {
        let until = Instant::now() + shared.tuning.load().connect;
        let resolving = tokio::time::timeout_at(until.into(), self.addresses(&*shared.resolver));
        let addresses = resolving.await.map_err(|_| DialError::TimedOut)?;
        let mut why = DialError::NoSuchName;
        for (tried, (address, place)) in addresses.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            // A dead address must leave time for those behind it.
            let patience = (left / others).max(LEAST_PATIENCE.min(left));
            match pinhole::dial_within(&*shared.sockets, None, *address, patience).await {
                Ok(stream) => {
                    self.lives(*address);
                    let host = self.config.addresses.get(*place);
                    return Ok((stream, *address, host.map(|found| found.host.clone())));
                }
                Err(error) => {
                    tracing::debug!(upstream = %self.name, %address, %error, "dial failed");
                    self.died(*address);
                    why = error;
                }
            }
        }
        Err(why)
    }

    /// All addresses, those that failed lately last, each with the place in the config that it comes from.
    async fn addresses(&self, names: &dyn Names) -> Vec<(SocketAddr, usize)> {
        let mut found: Vec<(SocketAddr, usize)> = Vec::new();
        for (place, address) in self.config.addresses.iter().enumerate() {
            for resolved in resolve(names, address).await {
                if !found.iter().any(|(known, _)| *known == resolved) {
                    found.push((resolved, place));
                }
            }
        }
        let dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        if !dead.is_empty() {
            let now = Instant::now();
            // The sort is stable: otherwise the order of the config holds.
            found.sort_by_key(|(address, _)| dead.get(address).is_some_and(|until| now < *until));
        }
        found
    }

    fn lives(&self, address: SocketAddr) {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        if !dead.is_empty() {
            dead.remove(&address);
        }
    }

    fn died(&self, address: SocketAddr) {
        let mut dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // Names may resolve to ever other addresses: what is over is forgotten.
        dead.retain(|_, until| now < *until);
        dead.insert(address, now + DEAD_FOR);
    }
}

/// The addresses of a host; none when its name can't be resolved.
async fn resolve(names: &dyn Names, address: &UpstreamAddress) -> Vec<SocketAddr> {
    let found = match &address.host {
        Host::Address(ip) => vec![*ip],
        Host::Name(name) => match names.resolve(name.as_str()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%name, %error, "the name cannot be resolved");
                Vec::new()
            }
        },
    };
    let ports = found
        .into_iter()
        .map(|ip| SocketAddr::new(ip, address.port));
    ports.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helper::OwnNames;

    fn upstream(addresses: &[&str], max_sessions: Option<u32>) -> Upstream {
        let addresses = addresses
            .iter()
            .map(|text| UpstreamAddress::parse(text).expect("an address"));
        let mut config = config::Upstream::new(addresses.collect());
        config.max_sessions = max_sessions.and_then(std::num::NonZeroU32::new);
        Upstream::new("test", &config)
    }

    #[test]
    fn seats_are_bounded_and_given_back() {
        let upstream = upstream(&["127.0.0.1:1"], Some(2));
        let first = upstream.take_seat().expect("a seat");
        let _second = upstream.take_seat().expect("a seat");
        assert!(upstream.take_seat().is_none());
        drop(first);
        assert!(upstream.take_seat().is_some());
    }

    #[tokio::test]
    async fn an_address_that_failed_lately_is_tried_last() {
        let upstream = upstream(&["127.0.0.1:1", "127.0.0.2:1", "127.0.0.1:1"], None);
        let (first, second) = (
            "127.0.0.1:1".parse().expect("one"),
            "127.0.0.2:1".parse().expect("two"),
        );
        assert_eq!(
            upstream.addresses(&OwnNames).await,
            [(first, 0), (second, 1)]
        );
        upstream.died(first);
        assert_eq!(
            upstream.addresses(&OwnNames).await,
            [(second, 1), (first, 0)]
        );
        upstream.lives(first);
        assert_eq!(
            upstream.addresses(&OwnNames).await,
            [(first, 0), (second, 1)]
        );
    }
}
