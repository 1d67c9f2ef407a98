//! The simulated data connection: two legs, what is carried between them, by us or by the kernel, and how it ends.

use std::net::SocketAddr;

use portcullis::engine::{
    DataTls, DialError, Direction, Input, Legs, Outcome, Side, TransferId, Usage, Wire,
};

use super::world::{Event, World};
use crate::words::tls_facts;

/// The one data connection that there may be.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) up: [bool; 2],
    pub(super) relay: Option<(TransferId, Direction)>,
    /// What each side has to send, and its end.
    pub(super) offered: [Option<Vec<u8>>; 2],
    pub(super) scheduled: bool,
    /// How each leg is to be protected, and whether the upstream's may be.
    pub(super) tls: Legs<DataTls>,
    pub(super) begun: bool,
    /// Where the kernel takes the connection of the one pinhole, if it carries it.
    pub(super) kernel: Option<SocketAddr>,
    /// What the kernel carried to the end, while nobody has looked.
    pub(super) over: Option<Usage>,
    /// Somebody looks for the end all the time.
    pub(super) lingers: bool,
}

impl World {
    /// One of our dials arrives: somebody listens there, or not.
    pub(super) fn answered(&mut self, transfer: TransferId, side: Side, to: SocketAddr) {
        let listens = match side {
            Side::Client => self.client.listens == Some(to),
            Side::Upstream => self.server_listens == Some(to.port()),
        };
        let why = DialError::Refused;
        if listens {
            self.tell(Input::DataDialled { transfer, side });
            self.joined(side);
        } else {
            self.tell(Input::DataDialFailed {
                transfer,
                side,
                why,
            });
        }
    }

    pub(super) fn joined(&mut self, side: Side) {
        self.data.up[side as usize] = true;
        if side == Side::Upstream {
            let acts = self.server.connected();
            self.server_does(acts);
        }
    }

    /// The kernel hands a connection on to the other side: somebody listens there, or it is over at once.
    pub(super) fn kernel_dials(&mut self, side: Side) {
        let Some(to) = self.data.kernel else {
            return;
        };
        let listens = match side {
            Side::Client => self.client.listens == Some(to),
            Side::Upstream => self.server_listens == Some(to.port()),
        };
        if listens {
            self.joined(side);
        } else {
            self.data.up = [false, false];
            if let Some((transfer, direction)) = self.data.relay.take() {
                let usage = usage(direction, 0, Outcome::Complete, true);
                self.ended_in_the_kernel(transfer, usage);
                self.tell_rest();
            }
        }
    }

    /// The kernel has seen the end; the gateway sees it when it looks.
    fn ended_in_the_kernel(&mut self, transfer: TransferId, usage: Usage) {
        let looks = self.data.lingers || self.dice.one_in(4);
        self.data = Data::default();
        if looks {
            self.facts
                .push_back(Input::DataFinished { transfer, usage });
        } else {
            self.data.over = Some(usage);
        }
    }

    /// The legs that are to be in TLS are, before anything is carried.
    fn data_secured(&mut self, transfer: TransferId) {
        for side in [Side::Client, Side::Upstream] {
            if self.data.tls[side] != DataTls::Clear {
                self.facts.push_back(Input::DataTlsEstablished {
                    transfer,
                    side,
                    facts: tls_facts(&["resumed"]).expect("words"),
                });
            }
        }
    }

    /// Begins to carry when there are a relay, both ends and something to carry.
    pub(super) fn carry(&mut self) {
        let Some((transfer, direction)) = self.data.relay else {
            return;
        };
        let ready = self.data.offered[direction.source() as usize].is_some();
        let secured = self.data.tls.upstream == DataTls::Clear || self.data.begun;
        if ready && secured && self.data.up == [true, true] && !self.data.scheduled {
            self.data.scheduled = true;
            let delay = self.jitter() * 5;
            self.after(delay, Event::Carried(transfer));
        }
    }

    pub(super) fn carried(&mut self, transfer: TransferId) {
        if self
            .data
            .relay
            .is_none_or(|(running, _)| running != transfer)
        {
            return;
        }
        let direction = self.data.relay.take().map(|(_, direction)| direction);
        let direction = direction.expect("just seen");
        let content = self.data.offered[direction.source() as usize]
            .take()
            .unwrap_or_default();
        self.log
            .push(format!("{} carried {} bytes", self.now, content.len()));
        let kernel = self.data.kernel.is_some();
        let usage = usage(direction, content.len(), Outcome::Complete, kernel);
        match kernel {
            true => self.ended_in_the_kernel(transfer, usage),
            false => {
                self.data_secured(transfer);
                self.data = Data::default();
                self.facts
                    .push_back(Input::DataFinished { transfer, usage });
            }
        }
        match direction {
            Direction::Download => {
                let deeds = self.client.received(content, true);
                self.client_does(deeds);
                self.server_notices(Vec::new(), true);
            }
            Direction::Upload => {
                let acts = self.server.data_ended(&content, true);
                self.server_does(acts);
            }
        }
        self.tell_rest();
    }

    /// Ends the relay before its time: the receiver gets a part, or nothing when it was never joined.
    pub(super) fn cut(&mut self) -> Option<(TransferId, Usage)> {
        let (transfer, direction) = self.data.relay.take()?;
        let mut content = self.data.offered[direction.source() as usize]
            .take()
            .unwrap_or_default();
        content.truncate(content.len() / 2);
        let Data { up, kernel, .. } = std::mem::take(&mut self.data);
        if up != [true, true] {
            content.clear();
        }
        let usage = usage(direction, content.len(), Outcome::Aborted, kernel.is_some());
        if direction == Direction::Download && up == [true, true] {
            let deeds = self.client.received(content.clone(), false);
            self.client_does(deeds);
        }
        if up[Side::Upstream as usize] {
            self.server_notices(content, false);
        }
        Some((transfer, usage))
    }

    fn server_notices(&mut self, content: Vec<u8>, whole: bool) {
        let delay = self.jitter();
        let connection = self.server.connections;
        self.after(delay, Event::Noticed(connection, content, whole));
    }

    pub(super) fn break_off(&mut self, outcome: Outcome) {
        if self.data.up == [true, true]
            && let Some((transfer, direction)) = self.data.relay.take()
        {
            // That a connection was broken off does not show in the kernel's account.
            if self.data.kernel.is_some() && outcome != Outcome::LingerOver {
                let usage = usage(direction, 0, Outcome::Complete, true);
                self.ended_in_the_kernel(transfer, usage);
            } else {
                let usage = usage(direction, 0, outcome, self.data.kernel.is_some());
                self.data = Data::default();
                self.facts
                    .push_back(Input::DataFinished { transfer, usage });
            }
            if direction == Direction::Download {
                let deeds = self.client.received(Vec::new(), false);
                self.client_does(deeds);
            }
            self.tell_rest();
        }
    }

    /// The linger time is over: a relay in which nothing moves ends.
    pub(super) fn lingered(&mut self, transfer: TransferId) {
        let idle = !self.data.scheduled && self.data.up == [true, true];
        let same = self
            .data
            .relay
            .is_some_and(|(running, _)| running == transfer);
        match (same, idle) {
            (false, _) => {}
            (true, true) => self.break_off(Outcome::LingerOver),
            (true, false) => self.after(1_000_000, Event::Lingered(transfer)),
        }
    }
}

fn usage(direction: Direction, bytes: usize, outcome: Outcome, kernel: bool) -> Usage {
    let bytes = bytes as u64;
    let (up, down) = match direction {
        Direction::Upload => (bytes, 0),
        Direction::Download => (0, bytes),
    };
    let nothing = Usage::nothing(outcome);
    if kernel {
        let wire = Wire {
            bytes_up: up + 3 * 52,
            bytes_down: down + 3 * 52,
            packets_up: 3,
            packets_down: 3,
        };
        return Usage {
            wire: Some(wire),
            ..nothing
        };
    }
    Usage {
        bytes_up: up,
        bytes_down: down,
        ..nothing
    }
}
