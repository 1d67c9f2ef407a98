//! One data connection's legs: each absent, awaiting, dialling or up, until the relay has both; or forwarded, when the
//! kernel has both.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::super::status::Gauge;
use super::Ground;
use super::flow::Flow;
use crate::engine::{
    Bounds, DialError, Direction, Input, Legs, Manner, PinholeId, Side, TransferId,
};
use crate::pinhole::{OpenPinhole, Relay, Reservation};

pub(super) type Dial = Pin<Box<dyn Future<Output = Result<TcpStream, DialError>>>>;

pub(super) enum Leg {
    Absent,
    Reserved(Reservation),
    Awaiting {
        open: OpenPinhole,
        /// When the firewall has to be told that it is still awaited.
        renew_at: Option<Duration>,
        _counted: Gauge,
    },
    Dialling {
        dial: Dial,
        until: Duration,
    },
    Up(TcpStream),
    /// The relay has it.
    Relayed,
    /// The kernel has it, and the other one with it.
    Forwarded(Box<Flow>),
}

pub(super) struct Transfer {
    pub(super) id: TransferId,
    pub(super) legs: Legs<Leg>,
    pub(super) pinholes: Legs<Option<PinholeId>>,
    /// Set once a relay was asked for.
    pub(super) direction: Option<Direction>,
    /// What the relay may carry.
    pub(super) bounds: Bounds,
    pub(super) relay: Option<(Relay, Gauge)>,
    /// The end was announced before both legs were there: when it is given up.
    pub(super) lingers_until: Option<Duration>,
}

impl Transfer {
    /// Starts the relay if it was asked for and both legs are there.
    pub(super) fn begin(&mut self, ground: &Ground<'_>) {
        let (Some(direction), None) = (self.direction, &self.relay) else {
            return;
        };
        let both = Legs {
            client: std::mem::replace(&mut self.legs.client, Leg::Relayed),
            upstream: std::mem::replace(&mut self.legs.upstream, Leg::Relayed),
        };
        match both {
            Legs {
                client: Leg::Up(client),
                upstream: Leg::Up(upstream),
            } => {
                let mut relay = Relay::start(Legs { client, upstream }, direction, ground.limits)
                    .within(self.bounds, ground.now);
                if self.lingers_until.take().is_some() {
                    relay.end(Manner::Linger);
                }
                self.relay = Some((relay, ground.gauges.transfer()));
            }
            legs => self.legs = legs,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let lingers = self.lingers_until.filter(|_| self.relay.is_none());
        let dials = [Side::Client, Side::Upstream].map(|side| match &self.legs[side] {
            Leg::Dialling { until, .. } => Some(*until),
            Leg::Awaiting { renew_at, .. } => *renew_at,
            Leg::Forwarded(flow) => flow.deadline(),
            Leg::Absent | Leg::Reserved(_) | Leg::Up(_) | Leg::Relayed => None,
        });
        dials.into_iter().flatten().chain(lingers).min()
    }

    pub(super) fn poll_leg(
        &mut self,
        cx: &mut Context<'_>,
        side: Side,
        ground: &Ground<'_>,
    ) -> Option<Input<'static>> {
        let now = ground.now;
        match &mut self.legs[side] {
            Leg::Awaiting { open, renew_at, .. } => {
                let Poll::Ready(accepted) = open.poll_accept(cx) else {
                    if renew_at.is_some_and(|at| at <= now) {
                        open.renew();
                        *renew_at = ground.pinholes.renewal().map(|renewal| now + renewal);
                    }
                    return None;
                };
                match (accepted, self.pinholes[side]) {
                    (Ok((stream, peer)), Some(id)) => {
                        self.legs[side] = Leg::Up(stream);
                        Some(Input::PinholeUsed { id, peer })
                    }
                    (accepted, _) => {
                        // The engine's own deadline for this leg ends it.
                        if let Err(error) = accepted {
                            tracing::warn!(%error, %side, "a data connection could not be accepted");
                        }
                        self.legs[side] = Leg::Absent;
                        None
                    }
                }
            }
            Leg::Dialling { dial, until } => {
                let result = match dial.as_mut().poll(cx) {
                    Poll::Ready(result) => result,
                    Poll::Pending if *until <= now => Err(DialError::TimedOut),
                    Poll::Pending => return None,
                };
                let transfer = self.id;
                match result {
                    Ok(stream) => {
                        self.legs[side] = Leg::Up(stream);
                        Some(Input::DataDialled { transfer, side })
                    }
                    Err(why) => {
                        self.legs[side] = Leg::Absent;
                        Some(Input::DataDialFailed {
                            transfer,
                            side,
                            why,
                        })
                    }
                }
            }
            Leg::Absent | Leg::Reserved(_) | Leg::Up(_) | Leg::Relayed | Leg::Forwarded(_) => None,
        }
    }

    /// The kernel's data connection, when it has it.
    pub(super) fn flow(&mut self) -> Option<&mut Flow> {
        let Legs { client, upstream } = &mut self.legs;
        [client, upstream].into_iter().find_map(|leg| match leg {
            Leg::Forwarded(flow) => Some(&mut **flow),
            Leg::Absent
            | Leg::Reserved(_)
            | Leg::Awaiting { .. }
            | Leg::Dialling { .. }
            | Leg::Up(_)
            | Leg::Relayed => None,
        })
    }

    /// Makes the legs that are up end with a reset, so that nothing that was cut off looks complete.
    pub(super) fn reset(&self) {
        for side in [Side::Client, Side::Upstream] {
            if let Leg::Up(stream) = &self.legs[side] {
                // A socket that is broken already needs no reset.
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
        }
    }
}
