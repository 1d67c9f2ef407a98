//! The opening of a pinhole that was set aside: done at once, or awaited when the kernel is to carry its connection.
//!
//! Invariant: a pinhole is told open only after the firewall has said so.

use std::task::{Context, Poll};

use super::candidates::Candidates;
use super::flow::Flow;
use super::transfer::{Leg, Transfer};
use super::{DataLegs, Ground};
use crate::engine::{Input, Legs, PinholeId, RefusalReason, Side};
use crate::pinhole::Opened;

/// How far the opening of a pinhole came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Opening {
    Done,
    /// The firewall is asked; [`DataLegs::poll_opening`] tells its answer.
    Underway,
}

impl DataLegs {
    /// Opens what was set aside.
    pub(in crate::gateway) fn open(
        &mut self,
        ground: &Ground<'_>,
        cx: &Context<'_>,
        id: PinholeId,
    ) -> Result<Opening, RefusalReason> {
        let Some((transfer, side)) = self.of_pinhole(id) else {
            return Err(RefusalReason::Resources);
        };
        let leg = std::mem::replace(&mut transfer.legs[side], Leg::Absent);
        let opened = match leg {
            Leg::Reserved { reservation, tls } => {
                let opened = reservation.open_as_asked(ground.wishes, cx);
                opened.map(|opened| (opened, tls))
            }
            Leg::Absent
            | Leg::Opening(_)
            | Leg::Awaiting { .. }
            | Leg::Dialling { .. }
            | Leg::Securing(_)
            | Leg::Up(_)
            | Leg::Relayed
            | Leg::Forwarded(_) => Err(RefusalReason::Resources),
        };
        match opened {
            Ok((Opened::Here(open), tls)) => {
                transfer.legs[side] = Leg::Awaiting {
                    open,
                    candidates: Candidates::wanted(tls),
                    renew_at: ground
                        .pinholes
                        .renewal()
                        .map(|renewal| ground.now + renewal),
                    _counted: ground.gauges.pinhole(),
                };
                Ok(Opening::Done)
            }
            Ok((Opened::InTheKernel(hole), _)) => {
                transfer.legs[side] = Leg::Opening(Box::new(hole));
                Ok(Opening::Underway)
            }
            Err(why) => {
                transfer.pinholes[side] = None;
                self.forget_idle();
                Err(why)
            }
        }
    }

    /// Tells whether the firewall is asked to open a pinhole.
    pub(in crate::gateway) fn is_opening(&self) -> bool {
        self.transfers.iter().any(Transfer::is_opening)
    }

    /// Waits for the firewall's answer to an opening.
    pub(in crate::gateway) fn poll_opening(
        &mut self,
        cx: &mut Context<'_>,
        ground: &Ground<'_>,
    ) -> Option<Input<'static>> {
        let mut each = self.transfers.iter_mut();
        let fact = each.find_map(|transfer| transfer.poll_opening(cx, ground))?;
        self.forget_idle();
        Some(fact)
    }
}

impl Transfer {
    pub(super) fn is_opening(&self) -> bool {
        let Legs { client, upstream } = &self.legs;
        matches!(client, Leg::Opening(_)) || matches!(upstream, Leg::Opening(_))
    }

    /// Waits for the firewall's answer to an opening.
    pub(super) fn poll_opening(
        &mut self,
        cx: &mut Context<'_>,
        ground: &Ground<'_>,
    ) -> Option<Input<'static>> {
        for side in [Side::Client, Side::Upstream] {
            let Leg::Opening(forwarding) = &mut self.legs[side] else {
                continue;
            };
            let Poll::Ready(opened) = forwarding.poll_open(cx) else {
                continue;
            };
            // The order matters: a port whose pinhole was refused is free before anybody hears of it.
            self.legs[side] = Leg::Absent;
            let Some(id) = self.pinholes[side] else {
                continue;
            };
            return Some(match opened {
                Ok(hole) => {
                    let flow = Flow::new(ground, hole, id, side);
                    self.legs[side] = Leg::Forwarded(Box::new(flow));
                    Input::PinholeOpened { id }
                }
                Err(why) => {
                    self.pinholes[side] = None;
                    Input::PinholeRefused { id, why }
                }
            });
        }
        None
    }
}
