//! What the sessions of one worker want of the firewall: gathered while each has its turn, then asked for together.
//!
//! With one session ready at a time nothing is gathered and nothing is later than by itself; with many, one message to the broker
//! and one answer serve them all. Invariant: a wish is asked for once or, when nobody wants its answer any more, not at all; whoever
//! asks is woken with the answer. This module must not know what a hole is for.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::nft::{Firewall, Granted, Wish};

/// The wishes of one worker.
#[derive(Default)]
pub struct Wishes {
    waiting: RefCell<Vec<Rc<Slot>>>,
    /// Of the task that asks.
    asker: RefCell<Option<Waker>>,
}

struct Slot {
    wish: Wish,
    state: Cell<State>,
}

#[derive(Default)]
enum State {
    Waiting(Waker),
    Answered(io::Result<Granted>),
    /// The answer was taken, or nobody wants it.
    #[default]
    Done,
}

/// The answer to come to one wish. A wish that is dropped before it was asked for is never asked for.
#[must_use]
pub(super) struct Answer {
    slot: Rc<Slot>,
}

impl Wishes {
    /// Gathers a wish, for the task of this context.
    pub(super) fn wish(&self, wish: Wish, cx: &Context<'_>) -> Answer {
        let state = Cell::new(State::Waiting(cx.waker().clone()));
        let slot = Rc::new(Slot { wish, state });
        self.waiting.borrow_mut().push(Rc::clone(&slot));
        if let Some(asker) = &*self.asker.borrow() {
            asker.wake_by_ref();
        }
        Answer { slot }
    }

    /// Asks for what was gathered so far, if anything, and wakes whoever waits for it; the task of this context is woken when there is
    /// more. To be polled by one task of the worker's, which runs behind those that are ready with it.
    pub(super) fn ask(&self, firewall: &dyn Firewall, cx: &Context<'_>) {
        *self.asker.borrow_mut() = Some(cx.waker().clone());
        let mut waiting = self.waiting.take();
        waiting.retain(|slot| match slot.state.take() {
            State::Done => false,
            state => {
                slot.state.set(state);
                true
            }
        });
        if waiting.is_empty() {
            return;
        }
        let wishes: Vec<Wish> = waiting.iter().map(|slot| slot.wish).collect();
        let mut answers = firewall.together(&wishes).into_iter();
        for slot in waiting {
            let answer = answers.next();
            let answer = answer.unwrap_or_else(|| Err(io::ErrorKind::InvalidData.into()));
            if let State::Waiting(waker) = slot.state.replace(State::Answered(answer)) {
                waker.wake();
            }
        }
    }
}

impl Answer {
    /// Waits for the answer; afterwards it stays pending.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<io::Result<Granted>> {
        match self.slot.state.take() {
            State::Answered(answer) => Poll::Ready(answer),
            State::Waiting(waker) => {
                let waker = match waker.will_wake(cx.waker()) {
                    true => waker,
                    false => cx.waker().clone(),
                };
                self.slot.state.set(State::Waiting(waker));
                Poll::Pending
            }
            State::Done => Poll::Pending,
        }
    }

    /// Takes the wish back; the answer if there is one already.
    pub(super) fn recall(self) -> Option<io::Result<Granted>> {
        match self.slot.state.take() {
            State::Answered(answer) => Some(answer),
            State::Waiting(_) | State::Done => None,
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.slot.state.set(State::Done);
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer").field(&self.slot.wish).finish()
    }
}
