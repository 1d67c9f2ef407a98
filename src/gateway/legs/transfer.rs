//! One data connection's legs: each absent, awaiting, dialling, being secured or up, until the relay has both; or
//! forwarded, when the kernel has both.
//!
//! Invariant: a leg that is to be in TLS reaches the relay only inside it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::super::status::Gauge;
use super::Ground;
use super::candidates::{Candidates, Proven};
use super::flow::Flow;
use crate::engine::{
    Bounds, DataTls, DialError, Direction, Input, Legs, Manner, PinholeId, Side, TlsFailure,
    TlsFault, TransferId,
};
use crate::pinhole::{Forwarding, OpenPinhole, Relay, Reservation, Stream};
use crate::tls::Channel;

pub(super) type Dial = Pin<Box<dyn Future<Output = Result<TcpStream, DialError>>>>;

pub(super) enum Leg {
    Absent,
    Reserved {
        reservation: Reservation,
        tls: DataTls,
    },
    /// The firewall is asked to let the kernel carry it.
    Opening(Box<Forwarding>),
    Awaiting {
        open: OpenPinhole,
        /// For a pinhole that is only for whoever resumes the session's TLS.
        candidates: Option<Box<Candidates>>,
        /// When the firewall has to be told that it is still awaited.
        renew_at: Option<Duration>,
        _counted: Gauge,
    },
    Dialling {
        dial: Dial,
        until: Duration,
    },
    Securing(Box<Securing>),
    Up(Stream),
    /// The relay has it.
    Relayed,
    /// The kernel has it, and the other one with it.
    Forwarded(Box<Flow>),
}

/// A leg whose handshake runs.
pub(super) struct Securing {
    socket: TcpStream,
    tls: Box<Channel>,
    until: Duration,
}

pub(super) struct Transfer {
    pub(super) id: TransferId,
    pub(super) legs: Legs<Leg>,
    pub(super) pinholes: Legs<Option<PinholeId>>,
    /// Set once a relay was asked for.
    pub(super) direction: Option<Direction>,
    /// How each leg is to be protected; known when a relay was asked for.
    pub(super) tls: Legs<DataTls>,
    /// Whether the upstream may be sent a ClientHello.
    pub(super) upstream_tls_due: bool,
    /// What is to be told next.
    pub(super) news: Option<Input<'static>>,
    /// What the relay may carry.
    pub(super) bounds: Bounds,
    pub(super) relay: Option<(Relay, Gauge)>,
    /// The end was announced before both legs were there: when it is given up.
    pub(super) lingers_until: Option<Duration>,
}

impl Transfer {
    pub(super) fn new(id: TransferId) -> Transfer {
        Transfer {
            id,
            legs: Legs {
                client: Leg::Absent,
                upstream: Leg::Absent,
            },
            pinholes: Legs::default(),
            direction: None,
            bounds: Bounds::default(),
            tls: Legs::default(),
            upstream_tls_due: false,
            news: None,
            relay: None,
            lingers_until: None,
        }
    }

    /// Starts the relay if it was asked for and both legs are there as they are to be.
    pub(super) fn begin(&mut self, ground: &Ground<'_>) {
        let (Some(direction), None) = (self.direction, &self.relay) else {
            return;
        };
        let ready = |side: Side| match &self.legs[side] {
            Leg::Up(stream) => stream.is_protected() == (self.tls[side] != DataTls::Clear),
            Leg::Absent
            | Leg::Reserved { .. }
            | Leg::Opening(_)
            | Leg::Awaiting { .. }
            | Leg::Dialling { .. }
            | Leg::Securing(_)
            | Leg::Forwarded(_)
            | Leg::Relayed => false,
        };
        if !ready(Side::Client) || !ready(Side::Upstream) {
            return;
        }
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

    /// Begins the handshake of each leg that is up in clear, is to be in TLS, and whose time has come. Answers with why
    /// that failed at once.
    pub(super) fn secure(&mut self, ground: &Ground<'_>) {
        for side in [Side::Client, Side::Upstream] {
            let due = match side {
                Side::Client => self.direction.is_some(),
                Side::Upstream => self.upstream_tls_due,
            };
            if !due || self.tls[side] == DataTls::Clear {
                continue;
            }
            let leg = std::mem::replace(&mut self.legs[side], Leg::Absent);
            self.legs[side] = match leg {
                Leg::Up(stream) if !stream.is_protected() => {
                    let tls = ground.secure.ok_or(TlsFailure::from(TlsFault::Other));
                    match tls.and_then(|secure| secure.data(side)) {
                        Ok(tls) => Leg::Securing(Box::new(Securing {
                            socket: stream.into_socket(),
                            tls,
                            until: ground.now + ground.connect,
                        })),
                        Err(why) => {
                            let transfer = self.id;
                            self.news = Some(Input::DataTlsFailed {
                                transfer,
                                side,
                                why,
                            });
                            Leg::Absent
                        }
                    }
                }
                leg => leg,
            };
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let lingers = self.lingers_until.filter(|_| self.relay.is_none());
        let legs = [Side::Client, Side::Upstream].map(|side| match &self.legs[side] {
            Leg::Dialling { until, .. } => Some(*until),
            Leg::Securing(securing) => Some(securing.until),
            Leg::Awaiting {
                renew_at,
                candidates,
                ..
            } => {
                let handshakes = candidates.as_ref().and_then(|some| some.deadline());
                handshakes.into_iter().chain(*renew_at).min()
            }
            Leg::Forwarded(flow) => flow.deadline(),
            Leg::Absent | Leg::Reserved { .. } | Leg::Opening(_) | Leg::Up(_) | Leg::Relayed => {
                None
            }
        });
        legs.into_iter().flatten().chain(lingers).min()
    }

    pub(super) fn poll_leg(
        &mut self,
        cx: &mut Context<'_>,
        side: Side,
        ground: &Ground<'_>,
    ) -> Option<Input<'static>> {
        let transfer = self.id;
        let now = ground.now;
        if let Leg::Awaiting { open, renew_at, .. } = &mut self.legs[side]
            && renew_at.is_some_and(|at| at <= now)
        {
            open.renew();
            *renew_at = ground.pinholes.renewal().map(|renewal| now + renewal);
        }
        match &mut self.legs[side] {
            Leg::Awaiting {
                open,
                candidates: Some(candidates),
                ..
            } => {
                let Poll::Ready(proven) = candidates.poll(cx, open, ground) else {
                    let underway = candidates.underway()?;
                    return Some(Input::DataTlsUnderway { transfer, underway });
                };
                match (proven, self.pinholes[side]) {
                    (Ok(proven), Some(id)) => {
                        let Proven {
                            stream,
                            peer,
                            facts,
                        } = proven;
                        self.legs[side] = Leg::Up(stream);
                        self.news = Some(Input::PinholeUsed { id, peer });
                        Some(Input::DataTlsEstablished {
                            transfer,
                            side,
                            facts,
                        })
                    }
                    (proven, _) => self.not_accepted(side, proven.err()),
                }
            }
            Leg::Awaiting { open, .. } => {
                let Poll::Ready(accepted) = open.poll_accept(cx) else {
                    return None;
                };
                match (accepted, self.pinholes[side]) {
                    (Ok((stream, peer)), Some(id)) => {
                        self.legs[side] = Leg::Up(stream.into());
                        Some(Input::PinholeUsed { id, peer })
                    }
                    (accepted, _) => self.not_accepted(side, accepted.err()),
                }
            }
            Leg::Dialling { dial, until } => {
                let result = match dial.as_mut().poll(cx) {
                    Poll::Ready(result) => result,
                    Poll::Pending if *until <= ground.now => Err(DialError::TimedOut),
                    Poll::Pending => return None,
                };
                match result {
                    Ok(stream) => {
                        self.legs[side] = Leg::Up(stream.into());
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
            Leg::Securing(securing) => {
                let Securing { socket, tls, until } = &mut **securing;
                let over = match tls.poll_handshake(cx, socket) {
                    Poll::Ready(Ok(facts))
                        if self.tls[side] == DataTls::Resumed && !facts.resumed =>
                    {
                        Err(TlsFault::NotResumed.into())
                    }
                    Poll::Ready(over) => over,
                    Poll::Pending if *until <= ground.now => Err(TlsFault::TimedOut.into()),
                    Poll::Pending => return None,
                };
                Some(self.secured(side, over))
            }
            Leg::Absent
            | Leg::Reserved { .. }
            | Leg::Opening(_)
            | Leg::Up(_)
            | Leg::Relayed
            | Leg::Forwarded(_) => None,
        }
    }

    fn secured(
        &mut self,
        side: Side,
        over: Result<Box<crate::engine::TlsFacts>, TlsFailure>,
    ) -> Input<'static> {
        let transfer = self.id;
        let leg = std::mem::replace(&mut self.legs[side], Leg::Absent);
        match (leg, over) {
            (Leg::Securing(securing), Ok(facts)) => {
                let Securing { socket, tls, .. } = *securing;
                self.legs[side] = Leg::Up(Stream::protected(socket, tls));
                Input::DataTlsEstablished {
                    transfer,
                    side,
                    facts,
                }
            }
            (leg, over) => {
                reset(&leg);
                let why = over.err().unwrap_or(TlsFault::Other.into());
                Input::DataTlsFailed {
                    transfer,
                    side,
                    why,
                }
            }
        }
    }

    /// The engine's own deadline for this leg ends it.
    fn not_accepted(
        &mut self,
        side: Side,
        error: Option<std::io::Error>,
    ) -> Option<Input<'static>> {
        if let Some(error) = error {
            tracing::warn!(%error, %side, "a data connection could not be accepted");
        }
        self.legs[side] = Leg::Absent;
        None
    }

    /// The kernel's data connection, when it has it.
    pub(super) fn flow(&mut self) -> Option<&mut Flow> {
        let Legs { client, upstream } = &mut self.legs;
        [client, upstream].into_iter().find_map(|leg| match leg {
            Leg::Forwarded(flow) => Some(&mut **flow),
            Leg::Absent
            | Leg::Reserved { .. }
            | Leg::Opening(_)
            | Leg::Awaiting { .. }
            | Leg::Dialling { .. }
            | Leg::Securing(_)
            | Leg::Up(_)
            | Leg::Relayed => None,
        })
    }

    /// Makes the legs that are up end with a reset, so that nothing that was cut off looks complete.
    pub(super) fn reset(&self) {
        for side in [Side::Client, Side::Upstream] {
            reset(&self.legs[side]);
        }
    }
}

fn reset(leg: &Leg) {
    let socket = match leg {
        Leg::Up(stream) => stream.socket(),
        Leg::Securing(securing) => &securing.socket,
        Leg::Absent
        | Leg::Reserved { .. }
        | Leg::Opening(_)
        | Leg::Awaiting { .. }
        | Leg::Dialling { .. }
        | Leg::Forwarded(_)
        | Leg::Relayed => return,
    };
    // A socket that is broken already needs no reset.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
