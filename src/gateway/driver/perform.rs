//! Performs what the engine asks for, strictly in order, and hands in the facts that follow at once.

use std::collections::VecDeque;
use std::task::Context;
use std::time::Duration;

use super::super::advice::advise;
use super::super::legs::{DataLegs, Ground, Opening};
use super::super::stream::Flushed;
use super::Driver;
use crate::engine::{Event, Input, Output, SessionEnd, Side, Time, TlsFailure, TlsRole};

impl Driver {
    /// Hands in a fact, performs what follows, and goes on until nothing follows any more.
    pub(super) fn tell(&mut self, cx: &mut Context<'_>, input: Input<'_>) {
        let now = self.worker.shared().clock.now();
        let outputs = self.session.handle(now, input);
        self.act(cx, now, outputs);
    }

    pub(super) fn act(&mut self, cx: &mut Context<'_>, now: Time, outputs: Vec<Output>) {
        let mut facts = VecDeque::new();
        self.perform(cx, now, outputs, &mut facts);
        while let Some(fact) = facts.pop_front() {
            let outputs = self.session.handle(now, fact);
            self.perform(cx, now, outputs, &mut facts);
        }
    }

    fn perform(
        &mut self,
        cx: &mut Context<'_>,
        now: Time,
        outputs: Vec<Output>,
        facts: &mut VecDeque<Input<'static>>,
    ) {
        // Bytes for one side in a row leave in one call.
        let mut unsent: Option<(Side, Vec<u8>)> = None;
        for output in outputs {
            let next = match &output {
                Output::Send { to, .. } => Some(*to),
                _ => None,
            };
            if let Some((side, bytes)) = unsent.take_if(|(side, _)| next != Some(*side)) {
                let is_last = matches!(output, Output::Close { .. });
                self.send(cx, now.mono, (side, bytes), is_last, facts);
            }
            match output {
                Output::Send { to, bytes } => match &mut unsent {
                    Some((_, before)) => before.extend_from_slice(&bytes),
                    None => unsent = Some((to, bytes)),
                },
                Output::Write(record) => {
                    let shared = self.worker.shared();
                    shared.observed.count(&record.event);
                    shared.guard.hear(&record, now.mono);
                    advise(&record, now.mono);
                    let accepted = shared.journal.write(&record).is_ok();
                    if record.gates_effect() {
                        if !accepted {
                            facts.push_back(Input::RecordRefused);
                            break;
                        }
                        facts.push_back(Input::RecordAccepted);
                        facts.extend(self.count_in(&record.event, now.mono));
                    }
                }
                Output::DialUpstream => self.dial_upstream(),
                Output::MoveUpstream { to } => self.move_upstream(&to),
                Output::Ask { id, ask, question } => self.ask(id, &ask, question),
                Output::ReservePinhole { id, pinhole } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    facts.push_back(match data.reserve(&ground, id, &pinhole) {
                        Ok(at) => Input::PinholeReserved { id, at },
                        Err(why) => Input::PinholeRefused { id, why },
                    });
                }
                Output::OpenPinhole { id } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    facts.extend(match data.open(&ground, cx, id) {
                        Ok(Opening::Done) => Some(Input::PinholeOpened { id }),
                        // Nothing is handed in until that is answered.
                        Ok(Opening::Underway) => None,
                        Err(why) => Some(Input::PinholeRefused { id, why }),
                    });
                }
                Output::RelayInstead { id } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    facts.extend(data.relay_instead(&ground, id).map(|done| match done {
                        Ok(()) => Input::PinholeOpened { id },
                        Err(why) => Input::PinholeRefused { id, why },
                    }));
                }
                Output::ClosePinhole { id, reason: _ } => self.data.close(id),
                Output::DialData {
                    transfer,
                    side,
                    to,
                    from,
                } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    data.dial(&ground, cx, transfer, side, (from, to));
                }
                Output::StartRelay {
                    transfer,
                    direction,
                    tls,
                    bounds,
                } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    data.start(&ground, transfer, direction, tls, bounds);
                }
                Output::StartTls { with, role } => {
                    if let Err(why) = self.start_tls(with, role) {
                        facts.push_back(Input::TlsFailed { with, why });
                    }
                }
                Output::StartDataTls { transfer, side } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    data.start_tls(&ground, transfer, side);
                }
                Output::GiveTickets { transfer } => self.data.give_tickets(cx, transfer),
                Output::EndData { transfer, manner } => {
                    let (data, ground) = self.data_and_ground(now.mono);
                    let ended = data.end(&ground, cx, transfer, manner);
                    facts.extend(ended.used);
                    if let Some(usage) = ended.usage {
                        facts.push_back(Input::DataFinished { transfer, usage });
                    }
                }
                Output::SeatUser { user } => {
                    // What was counted for another user, or another login, counts no more.
                    self.user_seat = None;
                    let seat = self.worker.shared().users.seat(&user);
                    self.user_seat = seat.map(Box::new);
                    let granted = self.user_seat.is_some();
                    facts.push_back(Input::UserSeated { granted });
                }
                Output::Close { side } => {
                    if side == Side::Upstream {
                        self.errand = None;
                    }
                    if let Some(control) = &mut self.controls[side] {
                        control.close(now.mono);
                    }
                }
            }
        }
        if let Some(unsent) = unsent {
            self.send(cx, now.mono, unsent, false, facts);
        }
    }

    /// Counts a client in that was taken for a health check, when it turns out to be none.
    fn count_in(&mut self, event: &Event, now: Duration) -> Option<Input<'static>> {
        let begins = matches!(event, Event::SessionOpened { .. });
        if !begins || !self.permit.is_probes() {
            return None;
        }
        let client = self.session.facts().client.ip();
        let reason = SessionEnd::NoProbe;
        let counted = self.permit.count(client, now);
        counted.is_err().then_some(Input::KillRequested { reason })
    }

    /// Begins TLS on a control connection, behind what was sent on it.
    fn start_tls(&mut self, with: Side, role: TlsRole) -> Result<(), TlsFailure> {
        let policy = self.place.policy.load();
        let secure = self.secure.get_or_insert_default();
        let material = policy.material(self.upstream.name());
        let channel = secure.control(role, &material)?;
        if let Some(control) = &mut self.controls[with] {
            control.secure(channel);
        }
        Ok(())
    }

    pub(super) fn data_and_ground(&mut self, now: Duration) -> (&mut DataLegs, Ground<'_>) {
        let shared = self.worker.shared();
        let tuning = shared.tuning.load();
        let ground = Ground {
            pinholes: &shared.pinholes,
            sockets: &shared.sockets,
            gauges: &shared.gauges,
            now,
            connect: tuning.connect,
            limits: tuning.relay,
            secure: self.secure.as_deref(),
            wishes: self.worker.wishes(),
        };
        (&mut self.data, ground)
    }

    /// Sends, at once or, to a client, when this poll has nothing else left to do: the 1xx of a small file leaves in one
    /// segment with the 226 behind it, and the last words with the end of the connection.
    fn send(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
        (side, mut bytes): (Side, Vec<u8>),
        is_last: bool,
        facts: &mut VecDeque<Input<'static>>,
    ) {
        let patience = self.worker.shared().tuning.load().send_stall;
        let Some(control) = &mut self.controls[side] else {
            return;
        };
        if side == Side::Client && (is_last || !self.data.is_empty()) {
            match control.hold(bytes, now, patience) {
                Ok(()) => {
                    self.held = true;
                    return;
                }
                Err(refused) => bytes = refused,
            }
        }
        if control.send(cx, bytes, now, patience) == Flushed::Broken {
            self.sending_failed(side, facts);
        }
    }

    /// Tells the engine of a peer that can't be sent anything any more, unless it is still to be read.
    pub(super) fn sending_failed(&mut self, side: Side, facts: &mut VecDeque<Input<'static>>) {
        let Some(control) = &mut self.controls[side] else {
            return;
        };
        if control.is_closing() {
            return;
        }
        // What the peer said last may still be there to be read, and its end behind it. If that was read already, or
        // is not wanted, nobody is there any more: the second time that the engine is told means that.
        let told = control.is_broken();
        if told || !self.session.accepts(side) {
            control.break_off();
            let times = if told { 1 } else { 2 };
            facts.extend((0..times).map(|_| Input::Closed { by: side }));
        }
    }
}
