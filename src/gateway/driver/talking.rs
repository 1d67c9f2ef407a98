//! Reads from and sends on the control connections, only as far as both the engine and the other side take it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::{Context, Poll};

use super::super::stream::{Control, Flushed, MOST_WAITING};
use super::Driver;
use crate::engine::{Input, Side};

/// How much is read at once.
const READ: usize = 16 * 1024;

thread_local! {
    /// What is read goes through this buffer of the worker's: sessions hold none.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

impl Driver {
    /// Sends and reads on one control connection, or goes on with closing it.
    pub(super) fn poll_control(&mut self, cx: &mut Context<'_>, side: Side) -> bool {
        let Some(control) = &mut self.controls[side] else {
            return false;
        };
        if control.is_closing() {
            let now = self.worker.shared().clock.mono();
            let closed = BUFFER.with_borrow_mut(|buffer| control.poll_closed(cx, now, buffer));
            if closed.is_ready() {
                self.controls[side] = None;
                if side == Side::Upstream {
                    self.upstream_seat = None;
                }
            }
            return closed.is_ready();
        }
        if control.is_handshaking() {
            return self.poll_handshake(cx, side);
        }
        let held = side == Side::Client && self.held;
        if control.is_sending() && !held && self.send_waiting(cx, side) {
            return true;
        }
        self.may_read(side) && self.read(cx, side)
    }

    /// Answers whether a handshake is over.
    fn poll_handshake(&mut self, cx: &mut Context<'_>, side: Side) -> bool {
        let shared = self.worker.shared();
        let (now, patience) = (shared.clock.mono(), shared.tuning.load().send_stall);
        let Some(control) = &mut self.controls[side] else {
            return false;
        };
        let Poll::Ready(over) = control.poll_secured(cx, now, patience) else {
            return false;
        };
        let with = side;
        let fact = match over {
            Ok(facts) => Input::TlsEstablished { with, facts },
            Err(why) => Input::TlsFailed { with, why },
        };
        self.tell(cx, fact);
        true
    }

    /// Sends what was held back while there was something else to do. Answers whether there was news.
    pub(super) fn send_held(&mut self, cx: &mut Context<'_>) -> bool {
        std::mem::take(&mut self.held) && self.send_waiting(cx, Side::Client)
    }

    /// Answers whether there was news.
    fn send_waiting(&mut self, cx: &mut Context<'_>, side: Side) -> bool {
        let shared = self.worker.shared();
        let (now, patience) = (shared.clock.mono(), shared.tuning.load().send_stall);
        let Some(control) = &mut self.controls[side] else {
            return false;
        };
        let mut facts = VecDeque::new();
        if control.flush(cx, now, patience) == Flushed::Broken {
            self.sending_failed(side, &mut facts);
        }
        let news = !facts.is_empty();
        while let Some(fact) = facts.pop_front() {
            self.tell(cx, fact);
        }
        news
    }

    /// Tells whether a side may be read: the engine takes its bytes, and nothing that they could add to is full.
    fn may_read(&self, side: Side) -> bool {
        let full = |side: Side| {
            let waiting = self.controls[side].as_ref().map_or(0, Control::waiting);
            waiting > MOST_WAITING
        };
        let open = self.controls[side].as_ref().is_some_and(Control::is_open);
        // What a client sends may be answered by us or be passed on; what the upstream sends goes to the client.
        open && !full(Side::Client)
            && (side == Side::Upstream || !full(Side::Upstream))
            && self.session.accepts(side)
    }

    fn read(&mut self, cx: &mut Context<'_>, side: Side) -> bool {
        let Some(control) = &mut self.controls[side] else {
            return false;
        };
        let read = BUFFER.with_borrow_mut(|buffer| {
            let Poll::Ready(ended) = control.poll_read(cx, buffer) else {
                return None;
            };
            // Most looks find nothing, and need no clock.
            let now = self.worker.shared().clock.now();
            let fact = match ended {
                Ok(read) if read > 0 => {
                    let bytes = buffer.get(..read).unwrap_or_default();
                    Input::Received { from: side, bytes }
                }
                ended => {
                    match ended {
                        Ok(_) => control.end(),
                        Err(_) => control.break_off(),
                    }
                    Input::Closed { by: side }
                }
            };
            Some((now, self.session.handle(now, fact)))
        });
        let Some((now, outputs)) = read else {
            return false;
        };
        self.act(cx, now, outputs);
        // Told a second time, it means that nobody is there for replies either.
        let broken = |control: &Control| control.is_broken() && !control.is_closing();
        if self.controls[side].as_ref().is_some_and(broken) {
            self.tell(cx, Input::Closed { by: side });
        }
        true
    }
}
