//! A data connection that the kernel carries: awaited, watched that it moves, and ended.
//!
//! The kernel is asked rarely: once when the transfer was answered, and else only to notice one that stands still. A
//! small file costs one opening and one closing question. Invariant: its usage is told at most once, and after that
//! nothing of it is in the firewall. This module must not know why it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::super::status::{Gauge, Gauges};
use super::transfer::Leg;
use super::{Ended, Ground};
use crate::engine::{
    Direction, Input, Manner, Outcome, PinholeId, RefusalReason, Side, Usage, Wire,
};
use crate::nft::{FlowState, FlowUsage, Settled, Settling};
use crate::pinhole::{ForwardedPinhole, RelayLimits, TakenBack};

/// How soon a connection that runs on after its transfer's answer is looked at again; the pause doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// The longest such pause: a client's next transfer may wait for it.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a packet without payload, with TCP's timestamps and no other option: IPv4 (RFC 791), IPv6 (RFC 8200), and TCP with
/// RFC 7323. Probes of a receiver that takes nothing (RFC 9293 section 3.8.6.1) and keepalives are no longer than that.
const EMPTY: [u64; 2] = [20 + 32, 40 + 32];
/// How many looks a stall is made of.
const LOOKS_PER_STALL: u32 = 4;

/// One forwarded data connection, from the opening of its pinhole on.
pub(super) struct Flow {
    hole: ForwardedPinhole,
    id: PinholeId,
    side: Side,
    used: bool,
    /// Who dialled, if the firewall told it when the hole was shut.
    by: Option<SocketAddr>,
    /// The engine knows that it was used.
    told: bool,
    watch: Watch,
    /// Which way the payload flows, once the transfer command came.
    direction: Option<Direction>,
    /// When an unused hole is renewed, or a used one that is watched is looked at.
    look_at: Duration,
    moved_at: Duration,
    last: Option<FlowUsage>,
    /// It is over, and that is still to be told.
    over: Option<Usage>,
    _counted: Gauge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    /// No transfer command came yet.
    NotYet,
    /// The transfer runs.
    Running,
    /// The transfer was answered, the connection runs on or is being settled; the pause before the next look if it runs then.
    Lingering { pause: Duration },
}

/// What became of a flow.
pub(super) enum News {
    /// Its connection came.
    Used(Input<'static>),
    /// It is over.
    Finished(Usage),
}

impl Flow {
    pub(super) fn new(
        ground: &Ground<'_>,
        hole: ForwardedPinhole,
        id: PinholeId,
        side: Side,
    ) -> Flow {
        Flow {
            hole,
            id,
            side,
            used: false,
            by: None,
            told: false,
            watch: Watch::NotYet,
            direction: None,
            look_at: ground.now + ground.pinholes.renewal().unwrap_or(Duration::MAX / 4),
            moved_at: ground.now,
            last: None,
            over: None,
            _counted: ground.gauges.pinhole(),
        }
    }

    /// Takes its pinhole back, so that its connection is relayed; it stays with the kernel if that came already.
    pub(super) fn relay_here(self: Box<Flow>, ground: &Ground<'_>) -> Result<Leg, RefusalReason> {
        let Flow { hole, .. } = *self;
        match hole.relay_here() {
            TakenBack::Here(open) => Ok(Leg::Awaiting {
                open,
                // What is to be in TLS is never forwarded.
                candidates: None,
                renew_at: ground
                    .pinholes
                    .renewal()
                    .map(|renewal| ground.now + renewal),
                _counted: self._counted,
            }),
            TakenBack::Refused(why) => Err(why),
            TakenBack::Came(hole) => Ok(Leg::Forwarded(Box::new(Flow { hole, ..*self }))),
        }
    }

    /// Watches that it moves, from now on.
    pub(super) fn watch(&mut self, ground: &Ground<'_>, direction: Direction) {
        self.watch = Watch::Running;
        self.direction = Some(direction);
        if self.used {
            self.runs(ground.gauges, ground.now, ground.limits);
        }
    }

    fn runs(&mut self, gauges: &Arc<Gauges>, now: Duration, limits: RelayLimits) {
        self._counted = gauges.transfer();
        self.moved_at = now;
        self.look_at = now + limits.stall / LOOKS_PER_STALL;
    }

    /// When it wants to be polled, whatever happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        if self.hole.is_settling() {
            // The answer wakes it.
            return None;
        }
        (!self.told || self.watch != Watch::NotYet).then_some(self.look_at)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>, ground: &Ground<'_>) -> Option<News> {
        if let Some(used) = self.poll_used(cx, ground) {
            return Some(News::Used(used));
        }
        let due = self.look_at <= ground.now || self.hole.is_settling();
        if self.over.is_none() && due {
            self.over = match (self.used, self.watch) {
                (true, Watch::NotYet) => None,
                (false, Watch::NotYet | Watch::Running) => {
                    self.hole.renew();
                    let renewal = ground.pinholes.renewal();
                    self.look_at = ground.now + renewal.unwrap_or(Duration::MAX / 4);
                    None
                }
                (true, Watch::Running) => self.look(ground.now, ground.limits),
                (_, Watch::Lingering { pause }) => self.linger(cx, ground, pause),
            };
        }
        let usage = self.over?;
        Some(match self.used && !self.told {
            true => News::Used(self.late(cx)),
            false => News::Finished(usage),
        })
    }

    fn poll_used(&mut self, cx: &mut Context<'_>, ground: &Ground<'_>) -> Option<Input<'static>> {
        let Poll::Ready(peer) = self.hole.poll_used(cx) else {
            return None;
        };
        (self.used, self.told) = (true, true);
        if self.watch == Watch::Running {
            self.runs(ground.gauges, ground.now, ground.limits);
        }
        Some(Input::PinholeUsed { id: self.id, peer })
    }

    /// Looks whether a running connection moves; ends it when it has not for too long.
    fn look(&mut self, now: Duration, limits: RelayLimits) -> Option<Usage> {
        self.look_at = now + limits.stall / LOOKS_PER_STALL;
        match self.hole.usage() {
            Err(error) => {
                // It goes on in the kernel; that it stands still has to be seen, not guessed.
                tracing::warn!(%error, "a forwarded connection could not be looked at");
                self.moved_at = now;
                None
            }
            Ok(Some(usage)) if usage.state != FlowState::Over => {
                self.note_movement(usage, now);
                if !usage.is_counted() {
                    // That it stands still can't be seen.
                    self.moved_at = now;
                }
                let stands_since = now.saturating_sub(self.moved_at);
                (stands_since >= limits.stall).then(|| self.cut(Outcome::Stalled))
            }
            Ok(_) => Some(self.cut(Outcome::Complete)),
        }
    }

    /// Notes when payload moved: packets alone do not tell, since a sender goes on to probe a receiver that takes nothing.
    /// Nor does payload alone: to a receiver that is gone it is sent again and again, and nobody answers.
    fn note_movement(&mut self, usage: FlowUsage, now: Duration) {
        let before = self
            .last
            .map_or_else(Wire::default, |last| wire(self.side, last));
        let after = wire(self.side, usage);
        let (bytes, packets, answers) = match self.direction {
            Some(Direction::Upload) => (
                after.bytes_up.saturating_sub(before.bytes_up),
                after.packets_up.saturating_sub(before.packets_up),
                after.packets_down.saturating_sub(before.packets_down),
            ),
            Some(Direction::Download) | None => (
                after.bytes_down.saturating_sub(before.bytes_down),
                after.packets_down.saturating_sub(before.packets_down),
                after.packets_up.saturating_sub(before.packets_up),
            ),
        };
        let empty = EMPTY[usize::from(self.hole.peer().is_ipv6())];
        if answers > 0 && bytes > packets.saturating_mul(empty) {
            self.moved_at = now;
        }
        self.last = Some(usage);
    }

    /// Ends it because the firewall lost track of it: nobody can tell whether it would go on.
    pub(super) fn break_off(&mut self) {
        match self.watch {
            Watch::Running | Watch::Lingering { .. } if self.used && self.over.is_none() => {
                self.over = Some(self.cut(Outcome::Broken { side: self.side }));
            }
            // Its transfer has not begun, or nobody has come yet: the hole was restored.
            Watch::NotYet | Watch::Running | Watch::Lingering { .. } => {}
        }
    }

    /// Lets it come to its end; tells its usage if it did, or when it has not moved for too long.
    fn linger(&mut self, cx: &Context<'_>, ground: &Ground<'_>, pause: Duration) -> Option<Usage> {
        let (now, limits) = (ground.now, ground.limits);
        self.watch = Watch::Lingering { pause };
        let Poll::Ready(settling) = self.hole.poll_settle(ground.wishes, cx) else {
            return None;
        };
        match settling {
            Ok(Settling::Shut(settled)) => {
                self.note_shut(settled);
                Some(self.usage(Outcome::Complete))
            }
            Ok(Settling::Runs(usage)) => {
                self.note_movement(usage, now);
                if now.saturating_sub(self.moved_at) >= limits.linger {
                    return Some(self.cut(Outcome::LingerOver));
                }
                let pause_after = (pause * 2).min(LONGEST_PAUSE);
                self.watch = Watch::Lingering { pause: pause_after };
                self.look_at = now + pause;
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the end of a forwarded connection could not be seen");
                self.last = None;
                Some(self.usage(Outcome::Complete))
            }
        }
    }

    /// Ends it in this manner; tells what there is to tell at once.
    pub(super) fn end(
        &mut self,
        cx: &mut Context<'_>,
        ground: &Ground<'_>,
        manner: Manner,
    ) -> Option<Ended> {
        let watched = self.watch != Watch::NotYet;
        let usage = match manner {
            Manner::Linger if !watched => return None,
            Manner::Linger => {
                if !matches!(self.watch, Watch::Lingering { .. }) {
                    self.moved_at = ground.now;
                }
                self.linger(cx, ground, FIRST_PAUSE)?
            }
            Manner::Abort => self.cut(Outcome::Aborted),
            Manner::Drop => match self.hole.settle() {
                Ok(Settling::Shut(settled)) => {
                    self.note_shut(settled);
                    self.usage(Outcome::Aborted)
                }
                Ok(Settling::Runs(_)) | Err(_) => self.cut(Outcome::Aborted),
            },
        };
        Some(Ended {
            used: (self.used && !self.told).then(|| self.late(cx)),
            usage: watched.then_some(usage),
        })
    }

    /// Tells of the connection that came so late that its account came first.
    fn late(&mut self, cx: &mut Context<'_>) -> Input<'static> {
        self.told = true;
        let peer = match (self.by, self.hole.poll_used(cx)) {
            (Some(peer), _) | (None, Poll::Ready(peer)) => peer,
            // Its port was not told in time.
            (None, Poll::Pending) => SocketAddr::new(self.hole.peer(), 0),
        };
        Input::PinholeUsed { id: self.id, peer }
    }

    /// Notes what the firewall said when it shut the hole.
    fn note_shut(&mut self, settled: Settled) {
        self.used |= settled.used();
        self.by = settled.by.or(self.by);
        self.last = settled.usage.or(self.last);
    }

    /// Ends its connection, if it has one, and shuts the hole.
    fn cut(&mut self, outcome: Outcome) -> Usage {
        match self.hole.end() {
            Some(settled) => {
                self.note_shut(settled);
            }
            None if self.used => self.last = None,
            None => {}
        }
        self.usage(outcome)
    }

    fn usage(&self, outcome: Outcome) -> Usage {
        let wire = match (self.last, self.used) {
            (Some(usage), _) => Some(wire(self.side, usage)),
            (None, false) => Some(Wire::default()),
            // It was used, and the firewall did not say what it carried.
            (None, true) => None,
        };
        Usage {
            wire,
            ..Usage::nothing(outcome)
        }
    }
}

/// Reads the kernel's account from the client's point of view; `side` is the one whose peer dialled.
fn wire(side: Side, usage: FlowUsage) -> Wire {
    let FlowUsage {
        wire_bytes_from_peer,
        packets_from_peer,
        wire_bytes_to_peer,
        packets_to_peer,
        state: _,
    } = usage;
    match side {
        Side::Client => Wire {
            bytes_up: wire_bytes_from_peer,
            bytes_down: wire_bytes_to_peer,
            packets_up: packets_from_peer,
            packets_down: packets_to_peer,
        },
        Side::Upstream => Wire {
            bytes_up: wire_bytes_to_peer,
            bytes_down: wire_bytes_from_peer,
            packets_up: packets_to_peer,
            packets_down: packets_from_peer,
        },
    }
}
