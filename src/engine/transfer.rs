//! The transfer command runs: resumed, launched, marked by the upstream, its legs dialled and used.

use std::net::SocketAddr;

use super::dialogue::{Pending, Purpose};
use super::fault::{ClientFault, OwnFault, UpstreamFault};
use super::judgement::{Judged, Permission};
use super::legs::{Dial, Leg, Relay, Running, Stage};
use super::pinhole::{CloseReason, PinholeId, TransferId};
use super::session::{Gate, Session, Step};
use super::{Carried, DialError, Direction, Event, Legs, Output, Refusal, Side};
use crate::ftp::{Command, Reply, Verb, escaped_to};

impl Session {
    /// Tells whether a transfer command is on its way or running, and its final answer not said yet.
    pub(super) fn in_transfer(&self) -> bool {
        self.transfer
            .as_deref()
            .is_some_and(|transfer| match transfer.stage {
                Stage::Running => transfer.ended.is_none(),
                Stage::Resuming(_) => true,
                Stage::Asked | Stage::Opening(_) | Stage::Offered => false,
            })
    }

    /// Tells whether bytes are to be carried, by us or by the kernel, and that has not ended.
    pub(super) fn is_carrying(&self) -> bool {
        self.transfer
            .as_deref()
            .is_some_and(|transfer| matches!(transfer.relay, Relay::Asked | Relay::Ending))
    }

    /// Handles a transfer command that the rules allow: they are asked once more, with what it is to go over.
    pub(super) fn client_transfers(
        &mut self,
        step: &mut Step,
        command: Command,
        permission: &Permission,
    ) {
        let offered = self
            .transfer
            .as_deref()
            .is_some_and(|transfer| matches!(transfer.stage, Stage::Offered));
        if !offered {
            self.spoil_rest(command.verb);
            self.refuse(
                step,
                command.to_string(),
                Refusal::NothingNegotiated,
                ClientFault::NothingNegotiated,
            );
            return;
        }
        let permission = match self.judge_transfer(step, &command, permission) {
            Judged::Allowed(permission) => permission,
            Judged::Denied => return self.denied(step, command.verb),
            Judged::Closed | Judged::Awaited => return,
        };
        let bound = match self.bound(step.now.mono, &command, &permission) {
            Ok(bound) => bound,
            Err((why, fault)) => {
                self.denied(step, command.verb);
                return self.refuse(step, command.to_string(), why, fault);
            }
        };
        self.note_sizes(&command);
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        transfer.bound = bound;
        match self.rest {
            Some(offset) if self.rest_stale => {
                transfer.stage = Stage::Resuming(Box::new(command));
                let again = Command::new(Verb::Rest, Some(offset.to_string().as_bytes()));
                self.ask(step, again.into_emitted(), Pending::Ours(Purpose::Rest));
            }
            _ => self.launch(step, command),
        }
    }

    /// Handles the answer to the REST that we said again.
    pub(super) fn rest_answered(&mut self, step: &mut Step, reply: Reply) {
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        let Stage::Resuming(command) = std::mem::replace(&mut transfer.stage, Stage::Offered)
        else {
            return;
        };
        if reply.code().get() == 350 {
            self.launch(step, *command);
        } else {
            self.rest = None;
            self.spend(step, CloseReason::TransferRefused);
            self.say(
                step,
                Reply::new(
                    451,
                    "The server no longer takes the restart position; nothing was transferred.",
                ),
            );
        }
    }

    /// Dials the upstream's port where it awaits us, and in the same step sends the transfer command. What is forwarded is
    /// dialled by the kernel when the other peer dials.
    fn launch(&mut self, step: &mut Step, command: Command) {
        let gateway = self.gateway;
        let tls = Legs {
            client: self.data_tls(Side::Client),
            upstream: self.data_tls(Side::Upstream),
        };
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        let verb = command.verb;
        transfer.stage = Stage::Running;
        transfer.command = Some(Running {
            verb,
            path: escaped_to(command.argument().unwrap_or_default(), 1024)
                .to_string()
                .into_boxed_str(),
            began: step.now.mono,
            marked: None,
        });
        let id = transfer.id;
        let relayed = transfer.carried == Carried::Relayed;
        let dial = match &mut transfer.legs.upstream {
            Leg::Dials { to: Some(to), dial } if relayed => {
                *dial = Dial::Begun;
                Some(*to)
            }
            Leg::Dials { .. } | Leg::Awaits(_) => None,
        };
        transfer.relay = Relay::Asked;
        transfer.tls = tls;
        let bounds = transfer.bound.bounds;
        let direction = transfer.direction().unwrap_or(Direction::Download);
        self.renaming = false;
        if let Some(to) = dial {
            self.gate(
                step,
                Gate::Launch,
                Event::DataDialled {
                    transfer: id,
                    side: Side::Upstream,
                    to,
                },
            );
            // The dial goes out first, so that the server finds the connection when it reads the command.
            let from = SocketAddr::new(gateway, 0);
            step.out.push(Output::DialData {
                transfer: id,
                side: Side::Upstream,
                to,
                from,
            });
        } else {
            self.launched();
        }
        self.ask(step, command.into_emitted(), Pending::Transfer);
        step.out.push(Output::StartRelay {
            transfer: id,
            direction,
            tls,
            bounds,
        });
    }

    /// The transfer command goes out, and with it the REST before it.
    pub(super) fn launched(&mut self) {
        self.rest = None;
        self.rest_stale = false;
    }

    /// The record of our dial was refused: the command was never sent, nothing was started.
    pub(super) fn launch_unrecorded(&mut self, step: &mut Step) {
        self.dialogue.forget_transfer();
        if let Some(verb) = self.running_verb() {
            self.spoil_rest(verb);
        }
        if let Some(transfer) = self.transfer.as_deref_mut() {
            transfer.relay = Relay::NotAsked;
            transfer.command = None;
        }
        self.spend(step, CloseReason::RecordRefused);
        self.say_in_turn(step, OwnFault::JournalDown.reply());
    }

    /// Handles the upstream's 1xx to the transfer command.
    pub(super) fn transfer_marked(&mut self, step: &mut Step, reply: Reply) {
        let aborting = self.abort.is_some();
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        let Some(command) = transfer.command.as_mut() else {
            return;
        };
        let first = command.marked.is_none();
        command.marked.get_or_insert(step.now.mono);
        if aborting || transfer.ended.is_some() {
            return;
        }
        if let Leg::Dials {
            dial: Dial::Failed { why, .. },
            ..
        } = transfer.legs.upstream
        {
            let fault = UpstreamFault::DialFailed(why);
            self.give_up(
                step,
                fault.reply(),
                CloseReason::TransferFailed,
                why.to_string(),
            );
            return;
        }
        if first {
            self.start_upstream_data_tls(step);
        }
        if first && (self.dial_client(step) || self.awaits_handshake()) {
            if let Some(transfer) = self.transfer.as_deref_mut() {
                transfer.preliminary = Some(reply);
            }
        } else {
            self.say(step, reply);
        }
    }

    /// Dials the client's data port, if this leg dials and has not; tells whether it is being dialled.
    pub(super) fn dial_client(&mut self, step: &mut Step) -> bool {
        let from = self.client_source();
        let Some(transfer) = self
            .transfer
            .as_deref_mut()
            .filter(|transfer| transfer.carried == Carried::Relayed)
        else {
            return false;
        };
        let id = transfer.id;
        let Leg::Dials { to: Some(to), dial } = &mut transfer.legs.client else {
            return false;
        };
        if *dial != Dial::Idle {
            return false;
        }
        *dial = Dial::Begun;
        let to = *to;
        self.gate(
            step,
            Gate::ClientDial,
            Event::DataDialled {
                transfer: id,
                side: Side::Client,
                to,
            },
        );
        step.out.push(Output::DialData {
            transfer: id,
            side: Side::Client,
            to,
            from,
        });
        true
    }

    pub(super) fn dial_unrecorded(&mut self, step: &mut Step) {
        let reply = OwnFault::JournalDown.reply();
        self.give_up(
            step,
            reply,
            CloseReason::RecordRefused,
            "the journal could not be written".to_owned(),
        );
    }

    pub(super) fn data_dialled(&mut self, step: &mut Step, id: TransferId, side: Side) {
        let Some(transfer) = self
            .transfer
            .as_deref_mut()
            .filter(|transfer| transfer.id == id)
        else {
            return;
        };
        if let Leg::Dials { dial, .. } = &mut transfer.legs[side] {
            *dial = Dial::Up;
        }
        if side == Side::Client
            && let Some(reply) = transfer.preliminary.take()
        {
            self.say(step, reply);
        }
    }

    pub(super) fn data_dial_failed(
        &mut self,
        step: &mut Step,
        id: TransferId,
        side: Side,
        why: DialError,
    ) {
        let Some(transfer) = self
            .transfer
            .as_deref_mut()
            .filter(|transfer| transfer.id == id)
        else {
            return;
        };
        if let Leg::Dials { dial, .. } = &mut transfer.legs[side] {
            *dial = Dial::Failed {
                why,
                at: step.now.mono,
            };
        }
        let marked = transfer
            .command
            .as_ref()
            .is_some_and(|command| command.marked.is_some());
        let ended = transfer.ended.is_some();
        transfer.preliminary = None;
        self.report(
            step,
            Event::DataFailed {
                transfer: id,
                side,
                why: why.to_string(),
            },
        );
        if ended || self.abort.is_some() {
            return;
        }
        match side {
            Side::Client => {
                let reply = ClientFault::UnreachableClient(why).reply();
                self.give_up(step, reply, CloseReason::TransferFailed, why.to_string());
            }
            // The upstream may have shut its port because it is about to say why: its own words are better than ours.
            Side::Upstream if marked => {
                let reply = UpstreamFault::DialFailed(why).reply();
                self.give_up(step, reply, CloseReason::TransferFailed, why.to_string());
            }
            Side::Upstream => {}
        }
    }

    pub(super) fn pinhole_used(&mut self, step: &mut Step, id: PinholeId, peer: SocketAddr) {
        let now = step.now;
        let Some(transfer) = self.transfer.as_deref_mut() else {
            return;
        };
        for side in [Side::Client, Side::Upstream] {
            let Some(hole) = transfer
                .hole_mut(side)
                .filter(|hole| hole.id == id && hole.used.is_none())
            else {
                continue;
            };
            hole.used = Some(now);
            let at = hole.at.unwrap_or(peer);
            self.report(
                step,
                Event::PinholeUsed {
                    pinhole: id,
                    side,
                    peer,
                    at,
                },
            );
            return;
        }
    }
}
