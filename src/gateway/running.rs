//! A gateway that runs, and orders to it from other threads.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::status::ReloadReport;
use super::steward::Errand;
use crate::nft::Happening;

/// A gateway that runs. Dropping it ends it at once; [`Running::shutdown`] lets transfers finish.
#[derive(Debug)]
pub struct Running {
    pub(super) addresses: Vec<(String, SocketAddr)>,
    pub(super) errands: mpsc::UnboundedSender<Errand>,
    pub(super) steward: Option<JoinHandle<()>>,
}

impl Running {
    /// Shows where clients can connect: each listener's name with one of its addresses.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// Takes no new sessions from now on, lets transfers finish until `timeouts.drain`, and ends.
    pub fn drain(&self) {
        self.send(Errand::Drain);
    }

    /// Ends all sessions now.
    pub fn end(&self) {
        self.send(Errand::End);
    }

    /// Reopens the journal and reads the config again.
    ///
    /// # Errors
    /// What is wrong with the new config, in lines for people; the old one stays in force.
    pub fn reload(&self) -> Result<ReloadReport, String> {
        let (answer, answered) = oneshot::channel();
        self.send(Errand::Reload(answer));
        let ended = || "the gateway has ended".to_owned();
        answered.blocking_recv().map_err(|_| ended())?
    }

    /// Gives orders from elsewhere, such as a thread that waits for signals.
    pub fn remote(&self) -> Remote {
        Remote {
            errands: self.errands.clone(),
        }
    }

    /// Drains, and waits until the last session is over.
    pub fn shutdown(self) {
        self.drain();
        self.wait();
    }

    /// Waits until the gateway has ended, by whatever order.
    pub fn wait(mut self) {
        self.join();
    }

    fn send(&self, errand: Errand) {
        // A steward that is gone needs no errand.
        let _ = self.errands.send(errand);
    }

    fn join(&mut self) {
        if let Some(steward) = self.steward.take()
            && steward.join().is_err()
        {
            tracing::error!("the steward was ended by a bug in Portcullis; please report it");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.steward.is_some() {
            self.end();
            self.join();
        }
    }
}

/// Gives orders to a running gateway from another thread.
#[derive(Clone, Debug)]
pub struct Remote {
    errands: mpsc::UnboundedSender<Errand>,
}

impl Remote {
    /// As [`Running::drain`].
    pub fn drain(&self) {
        let _ = self.errands.send(Errand::Drain);
    }

    /// As [`Running::end`].
    pub fn end(&self) {
        let _ = self.errands.send(Errand::End);
    }

    /// As [`Remote::drain`], for a gateway whose broker is gone: whoever comes next may have the control socket's place.
    pub fn abandon(&self) {
        let _ = self.errands.send(Errand::Abandon);
    }

    /// Tells what happened in the firewall and concerns no hole that somebody waits for.
    pub fn happened(&self, happening: Happening) {
        let _ = self.errands.send(Errand::Happened(happening));
    }

    /// As [`Running::reload`], but the outcome is told in the log.
    pub fn reload(&self) {
        let (answer, _) = oneshot::channel();
        let _ = self.errands.send(Errand::Reload(answer));
    }
}
