//! One request after the other: checked, done, answered.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::{Hands, Kept, NAME_BITS, Office};
use crate::nft::envelope::Envelope;
use crate::nft::message::{Answer, Keep, Reason, Request};
use crate::nft::{FirewallHole, Happening, HoleKey, Opening, Settling, sealed};

/// Serves the requests of one gateway at a time.
#[derive(Debug)]
pub struct Desk<H, O> {
    /// The kernel.
    pub hands: H,
    /// Everything else.
    pub office: O,
    envelope: Envelope,
    /// The bounds before a config that is not known to be in force yet.
    before: Option<Envelope>,
    /// The holes of this gateway, by the names that it gave, with where they are.
    pub(super) standing: HashMap<HoleKey, SocketAddr>,
    /// Banned networks, with when each ban is over.
    banned: HashMap<IpNet, Instant>,
    /// What was refused to this gateway so far.
    refused: u64,
    /// Which gateway this is: so that nothing late of a dead one is taken for its successor's.
    generation: u64,
}

/// An answer with the descriptor that travels along.
pub type Served = (Answer, Option<OwnedFd>);

impl<H: Hands, O: Office> Desk<H, O> {
    /// Opens the desk.
    pub fn new(mut hands: H, office: O, envelope: Envelope) -> Desk<H, O> {
        let now = Instant::now();
        let bans = hands.bans().unwrap_or_else(|error| {
            tracing::warn!(%error, "which addresses the kernel bans is not known");
            Vec::new()
        });
        let banned = bans
            .into_iter()
            .map(|(network, left)| (network, now + left));
        Desk {
            banned: banned.collect(),
            hands,
            office,
            envelope,
            before: None,
            standing: HashMap::new(),
            refused: 0,
            generation: 0,
        }
    }

    /// Checks a request and does it.
    pub fn serve(&mut self, request: Request) -> Served {
        let done = match request {
            Request::Open(hole) => self.open(hole).map(|()| Answer::Done),
            Request::Renew { key, ttl } => self.renew(key, ttl).map(|()| Answer::Done),
            Request::Usage(key) => self.standing(key).and_then(|(key, _)| {
                let usage = self.hands.usage(key);
                usage.map(Answer::Usage).map_err(|error| Reason::of(&error))
            }),
            Request::Kill(key) => self.standing(key).and_then(|(key, _)| {
                let killed = self.hands.kill(key);
                killed
                    .map(|()| Answer::Done)
                    .map_err(|error| Reason::of(&error))
            }),
            Request::Close(key) => self.close(key),
            Request::Settle(key) => self.settle_hole(key),
            Request::Ban { network, ttl } => self.ban(network, ttl).map(|()| Answer::Done),
            Request::Unban(network) => self.unban(network).map(|()| Answer::Done),
            Request::Dialler { from } => return self.dialler(from),
            Request::Reread => return self.reread(),
            Request::Keep(wish) => return self.keep(wish),
        };
        (done.unwrap_or_else(Answer::Refused), None)
    }

    fn open(&mut self, hole: FirewallHole) -> Result<(), Reason> {
        let permitted = self.permit(hole)?;
        let opened = self.hands.open(&permitted);
        opened.map_err(|error| Reason::of(&error))?;
        self.standing.insert(hole.key, place(&hole));
        Ok(())
    }

    /// Checks a hole that is to be opened; answers with it under its own name.
    pub(super) fn permit(&mut self, hole: FirewallHole) -> Result<FirewallHole, Reason> {
        let own = self.own_name(hole.key).ok_or(Reason::KeyTaken)?;
        if self.standing.contains_key(&hole.key) {
            return Err(Reason::KeyTaken);
        }
        let office = &mut self.office;
        let standing = self.standing.len();
        let checked = self
            .envelope
            .check_hole(&hole, standing, &mut |address| office.is_ours(address));
        self.told(checked, &hole)?;
        Ok(FirewallHole { key: own, ..hole })
    }

    fn renew(&mut self, key: HoleKey, ttl: Duration) -> Result<(), Reason> {
        let (own, at) = self.standing(key)?;
        self.told(self.envelope.check_renewal(at, ttl), &key)?;
        let renewed = self.hands.renew(own, ttl);
        renewed.map_err(|error| Reason::of(&error))
    }

    fn close(&mut self, key: HoleKey) -> Result<Answer, Reason> {
        let (own, _) = self.standing(key)?;
        self.standing.remove(&key);
        let closed = self.hands.close(own);
        closed
            .map(Answer::Settled)
            .map_err(|error| Reason::of(&error))
    }

    fn settle_hole(&mut self, key: HoleKey) -> Result<Answer, Reason> {
        let (own, _) = self.standing(key)?;
        let settling = self.hands.settle(own);
        let settling = settling.map_err(|error| Reason::of(&error))?;
        Ok(self.settled(key, settling))
    }

    /// Tells whether `more` holes could be opened besides those that stand.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.standing.len() + more <= self.envelope.holes
    }

    pub(super) fn settled(&mut self, key: HoleKey, settling: Settling) -> Answer {
        match settling {
            Settling::Runs(usage) => Answer::Usage(Some(usage)),
            Settling::Shut(settled) => {
                self.standing.remove(&key);
                Answer::Settled(settled)
            }
        }
    }

    fn ban(&mut self, network: IpNet, ttl: Duration) -> Result<(), Reason> {
        let now = Instant::now();
        self.banned
            .retain(|other, until| *other != network && now < *until);
        let checked = self.envelope.check_ban(network, ttl, self.banned.len());
        self.told(checked, &network)?;
        let banned = self.hands.ban(network, ttl);
        banned.map_err(|error| Reason::of(&error))?;
        self.banned.insert(network, now + ttl);
        Ok(())
    }

    /// Lists the bans that stand, with what is left of their time: they outlive the gateway that asked for them.
    pub fn standing_bans(&self) -> Vec<(IpNet, Duration)> {
        let now = Instant::now();
        let left = |until: &Instant| until.checked_duration_since(now);
        let bans = self.banned.iter();
        bans.filter_map(|(network, until)| Some((*network, left(until)?)))
            .collect()
    }

    fn unban(&mut self, network: IpNet) -> Result<(), Reason> {
        if self.banned.remove(&network).is_none() {
            return Err(Reason::NoSuchHole);
        }
        match self.hands.unban(network) {
            // Its time was over.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            unbanned => unbanned.map_err(|error| Reason::of(&error)),
        }
    }

    fn dialler(&mut self, from: SocketAddr) -> Served {
        let office = &mut self.office;
        let checked = self
            .envelope
            .check_dialler(from, &mut |address| office.is_ours(address));
        match self
            .told(checked, &from)
            .map(|()| self.office.dialler(from))
        {
            Ok(Ok(socket)) => (Answer::Done, Some(socket)),
            Ok(Err(error)) => (Answer::Refused(Reason::of(&error)), None),
            Err(reason) => (Answer::Refused(reason), None),
        }
    }

    fn keep(&mut self, wish: Keep) -> Served {
        match self.office.keep(wish) {
            Ok(Some(Kept { file, torn, shared })) => (Answer::Opened { torn, shared }, Some(file)),
            Ok(None) => (Answer::Done, None),
            Err(error) => (Answer::Refused(Reason::of(&error)), None),
        }
    }

    fn reread(&mut self) -> Served {
        match self.replace_envelope() {
            Ok(bundle) => (Answer::Done, Some(bundle)),
            Err(text) => (
                Answer::Refused(Reason::Config),
                // Without room for the text the log still has it.
                sealed::seal(text.as_bytes()).ok(),
            ),
        }
    }

    /// Reads the config again and lets its bounds hold from now on, until [`Desk::settle`] says otherwise.
    ///
    /// # Errors
    /// What is wrong with it, in lines for people.
    pub fn replace_envelope(&mut self) -> Result<OwnedFd, String> {
        let (mut envelope, bundle) = self.office.reread()?;
        envelope.remember(&self.envelope);
        let old = std::mem::replace(&mut self.envelope, envelope);
        self.before.get_or_insert(old);
        Ok(bundle)
    }

    /// Learns whether the config that was read last is in force.
    pub fn settle(&mut self, in_force: bool) {
        let before = self.before.take();
        if let (false, Some(before)) = (in_force, before) {
            self.envelope = before;
        }
        self.office.settle(in_force);
    }

    /// Takes the addresses of an upstream's name.
    pub fn learn(&mut self, name: &str, addresses: &[std::net::IpAddr]) {
        self.envelope.learn(name, addresses);
        if let Some(before) = &mut self.before {
            before.learn(name, addresses);
        }
    }

    /// Turns what happened into what this gateway may hear: of its own holes, by its own names.
    pub fn translate(&self, happening: Happening) -> Option<Happening> {
        match happening {
            Happening::Used { key, peer } => {
                let name = HoleKey(key.0 & ((1 << NAME_BITS) - 1));
                let ours = self.own_name(name) == Some(key) && self.standing.contains_key(&name);
                ours.then_some(Happening::Used { key: name, peer })
            }
            Happening::Knocked { .. } | Happening::Restored => Some(happening),
        }
    }

    /// Shuts what a gateway that is gone left open, for the next one. Connections that run go on.
    pub fn clear(&mut self) {
        let left: Vec<HoleKey> = self.standing.drain().map(|(key, _)| key).collect();
        for key in left {
            if let Some(own) = self.own_name(key)
                && let Err(error) = self.hands.close(own)
            {
                tracing::warn!(%error, "a hole of the gateway that is gone stays open until its time is over");
            }
        }
        if let Some(before) = self.before.take() {
            // It was never said to be in force.
            self.envelope = before;
            self.office.settle(false);
        }
        self.refused = 0;
        self.generation = (self.generation + 1) % (1 << (u64::BITS - NAME_BITS));
    }

    pub(super) fn standing(&self, key: HoleKey) -> Result<(HoleKey, SocketAddr), Reason> {
        let at = self.standing.get(&key).ok_or(Reason::NoSuchHole)?;
        let own = self.own_name(key).ok_or(Reason::NoSuchHole)?;
        Ok((own, *at))
    }

    /// The name that no other gateway's hole has; none where the gateway's own is too large.
    fn own_name(&self, key: HoleKey) -> Option<HoleKey> {
        (key.0 >> NAME_BITS == 0).then_some(HoleKey(self.generation << NAME_BITS | key.0))
    }

    /// Says in the log what a gateway should not have asked; ever more rarely, so that it cannot fill the log.
    fn told(
        &mut self,
        checked: Result<(), Reason>,
        what: &dyn std::fmt::Debug,
    ) -> Result<(), Reason> {
        if let Err(reason) = checked {
            self.refused += 1;
            if self.refused.is_power_of_two() {
                let count = self.refused;
                tracing::warn!(count, "refused to the gateway: {reason}: {what:?}");
            }
        }
        checked
    }
}

/// Our address and port that a hole's peer dials.
pub(super) fn place(hole: &FirewallHole) -> SocketAddr {
    let (Opening::Forward { at, .. } | Opening::Relay { at, .. }) = hole.opening;
    at
}
