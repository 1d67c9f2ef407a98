//! The data legs of one session: pinholes, dials, the relay and what the kernel carries, as the engine asks for them.
//!
//! Invariant: every leg belongs to one transfer and one side; what was told to be closed is gone when the call
//! returns. This module must not know why a leg is wanted.

mod candidates;
mod flow;
mod opening;
#[cfg(test)]
mod tests;
mod transfer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use self::flow::News;
pub(super) use self::opening::Opening;
use self::transfer::{Dial, Leg, Transfer};
use super::secure::Secure;
use super::status::Gauges;
use crate::engine::{
    Bounds, DataTls, Direction, Input, Legs, Manner, Outcome, Pinhole, PinholeId, RefusalReason,
    Side, TransferId, Usage,
};
use crate::pinhole::{self, Pinholes, RelayLimits, Sockets, SourcePortFallback, Wishes};

/// What the legs need from the gateway for a call.
pub(super) struct Ground<'a> {
    pub(super) pinholes: &'a Arc<Pinholes>,
    pub(super) sockets: &'a Arc<dyn Sockets>,
    pub(super) gauges: &'a Arc<Gauges>,
    pub(super) now: Duration,
    pub(super) connect: Duration,
    pub(super) limits: RelayLimits,
    pub(super) secure: Option<&'a Secure>,
    /// What the worker's sessions want of the firewall.
    pub(super) wishes: &'a Wishes,
}

/// All data legs of a session. Sessions without a transfer have none of these.
#[derive(Default)]
pub(super) struct DataLegs {
    transfers: Vec<Transfer>,
}

/// What is told of a transfer that was to be ended, in this order.
#[derive(Default)]
pub(super) struct Ended {
    /// That its pinhole was used, when that was not told before.
    pub(super) used: Option<Input<'static>>,
    /// What was carried, when the engine is to be told at once.
    pub(super) usage: Option<Usage>,
}

impl DataLegs {
    pub(super) fn is_empty(&self) -> bool {
        self.transfers.is_empty()
    }

    /// Sets a port aside.
    pub(super) fn reserve(
        &mut self,
        ground: &Ground<'_>,
        id: PinholeId,
        pinhole: &Pinhole,
    ) -> Result<SocketAddr, RefusalReason> {
        let reservation = ground.pinholes.reserve(pinhole)?;
        let at = reservation.at();
        let transfer = self.transfer(pinhole.transfer);
        transfer.pinholes[pinhole.side] = Some(id);
        transfer.legs[pinhole.side] = Leg::Reserved {
            reservation,
            tls: pinhole.tls,
        };
        Ok(at)
    }

    /// Listens at a pinhole that the kernel was to forward; tells nothing if its connection came already.
    pub(super) fn relay_instead(
        &mut self,
        ground: &Ground<'_>,
        id: PinholeId,
    ) -> Option<Result<(), RefusalReason>> {
        let (transfer, side) = self.of_pinhole(id)?;
        let leg = std::mem::replace(&mut transfer.legs[side], Leg::Absent);
        let Leg::Forwarded(flow) = leg else {
            transfer.legs[side] = leg;
            return None;
        };
        match flow.relay_here(ground) {
            Ok(leg) => {
                let here = !matches!(leg, Leg::Forwarded(_));
                transfer.legs[side] = leg;
                here.then_some(Ok(()))
            }
            Err(why) => {
                transfer.pinholes[side] = None;
                Some(Err(why))
            }
        }
    }

    /// Shuts a pinhole. A connection that came through it and that nobody relays is closed, or ended in the kernel.
    pub(super) fn close(&mut self, id: PinholeId) {
        if let Some((transfer, side)) = self.of_pinhole(id) {
            transfer.pinholes[side] = None;
            if !matches!(transfer.legs[side], Leg::Relayed) {
                transfer.legs[side] = Leg::Absent;
            }
            self.forget_idle();
        }
    }

    /// Begins to dial a leg.
    pub(super) fn dial(
        &mut self,
        ground: &Ground<'_>,
        cx: &mut Context<'_>,
        id: TransferId,
        side: Side,
        (from, to): (SocketAddr, SocketAddr),
    ) {
        ground.pinholes.note_dial(from, to);
        let sockets = Arc::clone(ground.sockets);
        let mut dial: Dial =
            Box::pin(async move { pinhole::dial(&*sockets, Some(from), to).await });
        // The dial is on its way when this returns, not when the session is next polled.
        if let Poll::Ready(result) = dial.as_mut().poll(cx) {
            dial = Box::pin(std::future::ready(result));
        }
        self.transfer(id).legs[side] = Leg::Dialling {
            dial,
            until: ground.now + ground.connect,
        };
    }

    /// Carries bytes as soon as both legs are there, or watches the kernel do it.
    pub(super) fn start(
        &mut self,
        ground: &Ground<'_>,
        id: TransferId,
        direction: Direction,
        tls: Legs<DataTls>,
        bounds: Bounds,
    ) {
        let transfer = self.transfer(id);
        transfer.bounds = bounds;
        transfer.direction = Some(direction);
        transfer.tls = tls;
        match transfer.flow() {
            Some(flow) => flow.watch(ground, direction),
            None => {
                transfer.secure(ground);
                transfer.begin(ground);
            }
        }
    }

    /// Lets the handshake of a leg begin as soon as it is connected.
    pub(super) fn start_tls(&mut self, ground: &Ground<'_>, id: TransferId, side: Side) {
        let transfer = self.transfer(id);
        match side {
            Side::Upstream => transfer.upstream_tls_due = true,
            // The client's is due with the relay.
            Side::Client => {}
        }
        transfer.secure(ground);
    }

    /// Lets the tickets of a client's leg leave that else wait for the first data.
    pub(super) fn give_tickets(&mut self, cx: &mut Context<'_>, id: TransferId) {
        let transfer = self.transfer(id);
        match (&mut transfer.relay, &mut transfer.legs.client) {
            (Some((relay, _)), _) => relay.give_tickets(cx),
            (None, Leg::Up(stream)) => stream.give_tickets(cx),
            (None, _) => {}
        }
    }

    /// Ends a transfer's legs; answers with what the engine is to be told at once.
    pub(super) fn end(
        &mut self,
        ground: &Ground<'_>,
        cx: &mut Context<'_>,
        id: TransferId,
        manner: Manner,
    ) -> Ended {
        let Some(position) = self.transfers.iter().position(|one| one.id == id) else {
            return Ended::default();
        };
        let Some(transfer) = self.transfers.get_mut(position) else {
            return Ended::default();
        };
        if let Some(flow) = transfer.flow() {
            let Some(ended) = flow.end(cx, ground, manner) else {
                return Ended::default();
            };
            self.remove(position);
            return ended;
        }
        let usage = match (&mut transfer.relay, manner) {
            (Some((relay, _)), _) => {
                relay.end(manner);
                match relay.poll_finish(cx) {
                    Poll::Ready(usage) => Some(usage),
                    Poll::Pending => return Ended::default(),
                }
            }
            (None, Manner::Linger) if transfer.direction.is_some() => {
                transfer.lingers_until = Some(ground.now + ground.limits.linger);
                return Ended::default();
            }
            (None, Manner::Abort) => {
                transfer.reset();
                transfer.direction.map(|_| Usage::nothing(Outcome::Aborted))
            }
            (None, Manner::Drop | Manner::Linger) => {
                transfer.direction.map(|_| Usage::nothing(Outcome::Aborted))
            }
        };
        self.remove(position);
        Ended { used: None, usage }
    }

    /// Goes on with everything; answers with the next fact.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        ground: &Ground<'_>,
    ) -> Option<Input<'static>> {
        for position in 0..self.transfers.len() {
            let Some(transfer) = self.transfers.get_mut(position) else {
                break;
            };
            for side in [Side::Client, Side::Upstream] {
                let news = transfer.news.take();
                if let Some(fact) = news.or_else(|| transfer.poll_leg(cx, side, ground)) {
                    warn_of_other_source_port(ground.sockets.source_port_fallback());
                    transfer.secure(ground);
                    transfer.begin(ground);
                    return Some(fact);
                }
            }
            let news = transfer.flow().and_then(|flow| flow.poll(cx, ground));
            let flowed = match news {
                Some(News::Used(fact)) => return Some(fact),
                Some(News::Finished(usage)) => Some(usage),
                None => None,
            };
            let finished = match &mut transfer.relay {
                Some((relay, _)) => match relay.poll_finish(cx) {
                    Poll::Ready(usage) => Some(usage),
                    Poll::Pending => None,
                },
                None => flowed.or_else(|| {
                    transfer
                        .lingers_until
                        .filter(|until| *until <= ground.now)
                        .map(|_| Usage::nothing(Outcome::LingerOver))
                }),
            };
            if let Some(usage) = finished {
                let id = transfer.id;
                self.remove(position);
                return Some(Input::DataFinished {
                    transfer: id,
                    usage,
                });
            }
        }
        None
    }

    /// Ends what the kernel carries, after somebody else has emptied the firewall; the next poll tells of it.
    pub(super) fn break_off_flows(&mut self) {
        for flow in self.transfers.iter_mut().filter_map(Transfer::flow) {
            flow.break_off();
        }
    }

    /// When a leg next wants to be looked at, whatever happens; relays keep their own time.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.transfers.iter().filter_map(Transfer::deadline).min()
    }

    /// How many bytes the running relay has carried.
    pub(super) fn progress(&self) -> u64 {
        let relays = self.transfers.iter().filter_map(|one| one.relay.as_ref());
        relays.map(|(relay, _)| relay.progress()).sum()
    }

    fn transfer(&mut self, id: TransferId) -> &mut Transfer {
        let position = match self.transfers.iter().position(|one| one.id == id) {
            Some(position) => position,
            None => {
                // One is the rule; room for more would be paid for by every transfer.
                self.transfers.reserve_exact(1);
                self.transfers.push(Transfer::new(id));
                self.transfers.len() - 1
            }
        };
        &mut self.transfers[position]
    }

    fn of_pinhole(&mut self, id: PinholeId) -> Option<(&mut Transfer, Side)> {
        self.transfers.iter_mut().find_map(|transfer| {
            let side = [Side::Client, Side::Upstream]
                .into_iter()
                .find(|side| transfer.pinholes[*side] == Some(id))?;
            Some((transfer, side))
        })
    }

    fn remove(&mut self, position: usize) {
        self.transfers.swap_remove(position);
        if self.transfers.is_empty() {
            self.transfers = Vec::new();
        }
    }

    fn forget_idle(&mut self) {
        self.transfers.retain(|one| {
            one.direction.is_some()
                || !matches!(
                    (&one.legs.client, &one.legs.upstream),
                    (Leg::Absent, Leg::Absent)
                )
        });
        if self.transfers.is_empty() {
            self.transfers = Vec::new();
        }
    }
}

/// Says once that clients see another source port than the config wants.
fn warn_of_other_source_port(fallback: &SourcePortFallback) {
    if fallback.is_news() {
        tracing::warn!(
            "data connections to clients come from random ports: the port below the listener's is taken or needs CAP_NET_BIND_SERVICE; \
             firewalls of active clients may want it (data_source_port: random says that they need not)"
        );
    }
}
