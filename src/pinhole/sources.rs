//! Which fixed source ports are in use towards whom: the kernel can't rewrite two connections to the same one.
//!
//! A forwarded connection whose source is to be port 20 needs the whole tuple for itself (our address and port 20, the
//! client's address and port), and connection tracking keeps it for minutes after the end (TIME_WAIT). A client that
//! names the same port again meanwhile would get nothing: the kernel drops such a connection. It gets another source port.
//!
//! Invariant: a tuple is given out once at a time, and again only when the kernel has forgotten it. This module must not
//! know the firewall.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long after the end of a connection the kernel may keep its tuple: FIN_WAIT and TIME_WAIT, 120 s each by default
/// (nf_conntrack-sysctl).
const KEPT: Duration = Duration::from_secs(250);

/// Most tuples that are remembered; beyond that, sources get any port.
const MOST: usize = 65_536;

/// Our address and port, and whose.
type Tuple = (SocketAddr, SocketAddr);

/// The tuples with a fixed port; none stands for one that is in use now.
#[derive(Debug, Default)]
pub(super) struct Sources {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    until: HashMap<Tuple, Option<Instant>>,
    /// At how many the old ones are looked for again.
    sweep_at: usize,
}

/// The use of one tuple; when it is dropped, the kernel is given time to forget it.
#[derive(Debug)]
pub(super) struct SourceUse {
    sources: Arc<Sources>,
    tuple: Tuple,
}

impl Sources {
    /// Takes a tuple; none when the kernel may still have it, or when too many are remembered.
    pub(super) fn take(self: &Arc<Self>, source: SocketAddr, to: SocketAddr) -> Option<SourceUse> {
        let (tuple, now) = ((source, to), Instant::now());
        let mut taken = self.taken();
        if taken.until.len() >= taken.sweep_at {
            taken
                .until
                .retain(|_, until| until.is_none_or(|until| now < until));
            taken.sweep_at = (taken.until.len() * 2).clamp(64, MOST);
        }
        let free = match taken.until.get(&tuple) {
            Some(until) => until.is_some_and(|until| until <= now),
            None => taken.until.len() < MOST,
        };
        if !free {
            return None;
        }
        taken.until.insert(tuple, None);
        drop(taken);
        Some(SourceUse {
            sources: Arc::clone(self),
            tuple,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SourceUse {
    fn drop(&mut self) {
        let until = Instant::now() + KEPT;
        self.sources.taken().until.insert(self.tuple, Some(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16) -> Tuple {
        let source = SocketAddr::from(([203, 0, 113, 10], 20));
        (source, SocketAddr::from(([198, 51, 100, 7], port)))
    }

    #[test]
    fn a_tuple_is_taken_once_and_again_only_when_the_kernel_has_forgotten_it() {
        let sources = Arc::<Sources>::default();
        let take = |port| sources.take(tuple(port).0, tuple(port).1);
        let first = take(8080).expect("free");
        assert!(take(8080).is_none(), "in use");
        assert!(take(8081).is_some());
        drop(first);
        assert!(take(8080).is_none(), "still known to the kernel");
        sources
            .taken()
            .until
            .insert(tuple(8080), Some(Instant::now()));
        assert!(take(8080).is_some());
    }

    #[test]
    fn what_is_over_is_forgotten_and_the_number_is_bounded() {
        let sources = Arc::<Sources>::default();
        let take = |port| sources.take(tuple(port).0, tuple(port).1);
        for port in 1..=1000 {
            drop(take(port));
        }
        let over = Instant::now();
        for until in sources.taken().until.values_mut() {
            *until = Some(over);
        }
        sources.taken().sweep_at = 0;
        assert!(take(5000).is_some());
        assert_eq!(sources.taken().until.len(), 1);
        let held: Vec<_> = (1..=u16::MAX).filter_map(take).collect();
        assert!(held.len() < MOST);
        let other = SocketAddr::from(([198, 51, 100, 8], 1));
        let more = (1..=10).filter_map(|n| {
            let to = SocketAddr::new(other.ip(), n);
            sources.take(tuple(1).0, to)
        });
        assert!(more.collect::<Vec<_>>().len() <= 2);
    }
}
