//! What the log says of a session's records that only whoever runs the gateway can mend.
//!
//! Invariant: however often a session meets it, a line a minute is all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::engine::{Event, Legs, Record, Side};

/// How long nothing more is said.
const QUIET: Duration = Duration::from_secs(60);

/// Says what is to be done about a record, if that was not said lately; `now` is the time of the monotonic clock.
pub(super) fn advise(record: &Record, now: Duration) {
    static TOLD: Legs<Told> = Legs {
        client: Told::new(),
        upstream: Told::new(),
    };
    let Event::AddressShut {
        side,
        address,
        window,
    } = &record.event
    else {
        return;
    };
    if !TOLD[*side].is_news(now) {
        return;
    }
    match side {
        Side::Upstream => tracing::warn!(
            "the FTP server on this machine announced {address}, a port of the window {window}, which the firewall shuts to the \
             gateway too: its transfers are refused (425); give the server passive ports outside the windows \
             (vsftpd: pasv_min_port and pasv_max_port, ProFTPD: PassivePorts, Pure-FTPd: -p)"
        ),
        Side::Client => tracing::warn!(
            "a client on this machine awaits data at {address}, a port of the window {window}, which the firewall shuts to the \
             gateway too: that was refused (425); have it use passive mode, or keep the windows outside the kernel's ephemeral \
             range (net.ipv4.ip_local_port_range)"
        ),
    }
}

/// When something was said last: milliseconds of the monotonic clock, 0 for never.
#[derive(Debug)]
struct Told(AtomicU64);

impl Told {
    const fn new() -> Told {
        Told(AtomicU64::new(0))
    }

    /// Tells at most once per [`QUIET`], over all workers, that it is worth a line.
    fn is_news(&self, now: Duration) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, told) = (millis(now).max(1), self.0.load(Ordering::Relaxed));
        (told == 0 || now.saturating_sub(told) >= millis(QUIET))
            && self
                .0
                .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_is_said() {
        let told = Told::new();
        assert!(told.is_news(Duration::ZERO));
        assert!(!told.is_news(Duration::from_secs(59)));
        assert!(told.is_news(Duration::from_secs(61)));
        assert!(!told.is_news(Duration::from_secs(62)));
    }
}
