//! A firewall that lets in whatever it is asked to, and writes down what.

use std::sync::Mutex;
use std::task::{Context, Poll};

use super::*;
use crate::nft::{Firewall, FirewallHole, FlowUsage, Granted, HoleKey, Opening, Settled, Wish};

#[derive(Default)]
pub(super) struct Open {
    pub(super) openings: Mutex<Vec<Opening>>,
    /// The holes that are open now.
    pub(super) standing: Mutex<Vec<HoleKey>>,
    /// What was asked for together.
    pub(super) asked: Mutex<Vec<Vec<Wish>>>,
    /// How many answers it forgets of those to what is asked together.
    pub(super) silent: usize,
}

impl Firewall for Open {
    fn open(&self, hole: &FirewallHole) -> io::Result<()> {
        self.openings.lock().unwrap().push(hole.opening);
        self.standing.lock().unwrap().push(hole.key);
        Ok(())
    }

    fn renew(&self, _: HoleKey, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn used(&self, _: HoleKey, _: &mut Context<'_>) -> Poll<SocketAddr> {
        Poll::Pending
    }

    fn usage(&self, _: HoleKey) -> io::Result<Option<FlowUsage>> {
        Ok(None)
    }

    fn kill(&self, _: HoleKey) -> io::Result<()> {
        Ok(())
    }

    fn close(&self, key: HoleKey) -> io::Result<Settled> {
        let mut standing = self.standing.lock().unwrap();
        let place = standing.iter().position(|one| *one == key);
        standing.swap_remove(place.ok_or(io::ErrorKind::NotFound)?);
        Ok(Settled {
            by: None,
            usage: None,
        })
    }

    fn together(&self, wishes: &[Wish]) -> Vec<io::Result<Granted>> {
        self.asked.lock().unwrap().push(wishes.to_vec());
        let answered = wishes.len().saturating_sub(self.silent);
        let each = wishes.iter().map(|wish| match wish {
            Wish::Open(hole) => self.open(hole).map(|()| Granted::Opened),
            Wish::Settle(key) => self.settle(*key).map(Granted::Settled),
        });
        each.take(answered).collect()
    }
}

impl Open {
    /// With these holes open.
    pub(super) fn with(keys: impl IntoIterator<Item = u64>) -> Open {
        Open {
            standing: Mutex::new(keys.into_iter().map(HoleKey).collect()),
            ..Open::default()
        }
    }
}
