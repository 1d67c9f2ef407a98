//! Whether the process may have as many descriptors as its sessions need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::pinhole::PARKED;

/// An idle session holds two: its control connections.
const PER_SESSION: u64 = 2;

/// The journal, the runtimes, the control socket, standard streams, sockets kept for the next pinhole, and some transfers.
const OF_OUR_OWN: u64 = 256 + PARKED as u64;

/// Raises the limit of descriptors as far as it goes, and warns if `limits.sessions` does not fit into it.
pub(super) fn prepare(config: &Config) {
    let limit = raised();
    let window = u64::try_from(config.pinholes.window.size()).unwrap_or(u64::MAX);
    let fits = fitting(limit, window);
    let wanted = u64::from(config.limits.sessions);
    if fits < wanted {
        tracing::warn!(
            "limits.sessions is {wanted}, but this process may open {limit} descriptors: that is enough for {fits} sessions; \
             set LimitNOFILE={} (or ulimit -n), or limits.sessions: {fits}",
            wanted.saturating_mul(PER_SESSION) + window + OF_OUR_OWN,
        );
    }
}

/// How many idle sessions fit.
fn fitting(limit: u64, window: u64) -> u64 {
    limit.saturating_sub(OF_OUR_OWN).saturating_sub(window) / PER_SESSION
}

/// Raises the soft limit to the hard one; answers with what is in force.
fn raised() -> u64 {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let wanted = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::debug!(%error, "the limit of descriptors stays as it is");
        }
    }
    // No limit at all is none that could be too low.
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_that_fit_are_told_after_what_we_need_ourselves() {
        assert_eq!(fitting(20_000, 16), (20_000 - 320 - 16) / 2);
        assert_eq!(fitting(100, 16), 0);
        assert_eq!(fitting(u64::MAX, 16), (u64::MAX - 336) / 2);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let limit = raised();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, now.maximum);
        assert_eq!(limit, now.maximum.unwrap_or(u64::MAX));
    }
}
