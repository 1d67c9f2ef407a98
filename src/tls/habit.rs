//! What was learned of a server: whether its tickets of TLS 1.3 run out, so that data connections can't resume.
//!
//! ProFTPD 1.3.8 gives two tickets to the control connection and one with each download, but none with an upload. A session of
//! TLS 1.2 resumes as often as one likes, so the next sessions with such a server speak that.
//!
//! What its greeting tells beforehand the engine knows; this is for servers that hide their name.
//!
//! Invariant: a server that refuses TLS 1.2 is spoken to as before, and never again asked for it.

use std::sync::atomic::{AtomicBool, Ordering};

/// What was learned of one upstream since its settings were read.
#[derive(Debug, Default)]
pub(super) struct Habit {
    ran_short: AtomicBool,
    refused: AtomicBool,
}

impl Habit {
    /// Learns that a data connection found no ticket, though the server had given some.
    pub(super) fn tickets_ran_short(&self) {
        if !self.ran_short.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a server gives fewer tickets of TLS 1.3 than there are data connections, so that they cannot resume: its next sessions speak TLS 1.2; \
                 set tls.max_version of the upstream to \"1.2\", and the first speaks it too"
            );
        }
    }

    /// Learns that a handshake failed in which only TLS 1.2 was offered.
    pub(super) fn old_was_refused(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Tells whether the next session is to speak TLS 1.2.
    pub(super) fn wants_old(&self) -> bool {
        self.ran_short.load(Ordering::Relaxed) && !self.refuses_old()
    }

    /// Tells whether it refused TLS 1.2.
    pub(super) fn refuses_old(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}
