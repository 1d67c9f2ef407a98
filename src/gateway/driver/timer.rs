//! The session's one timer: moved only when a deadline comes nearer, so that commands cost none.

use std::future::Future as _;
use std::task::Context;
use std::time::Duration;

use super::super::stream::Control;
use super::Driver;
use crate::engine::{Input, Side};

impl Driver {
    /// Waits for the nearest deadline. Answers whether one was over and something was told.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.deadline() else {
            return false;
        };
        loop {
            // A timer that fires too early costs one wakeup; moving it at every command would cost more.
            if self.armed.is_none_or(|armed| at < armed) {
                let instant = self.worker.shared().clock.instant(at);
                match &mut self.timer {
                    Some(timer) => timer.as_mut().reset(instant),
                    None => self.timer = Some(Box::pin(tokio::time::sleep_until(instant))),
                }
                self.armed = Some(at);
            }
            let Some(timer) = &mut self.timer else {
                return false;
            };
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.armed = None;
            let now = self.worker.shared().clock.mono();
            if at <= now {
                self.expire(cx, now);
                return true;
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let controls = [&self.controls.client, &self.controls.upstream];
        let sending = controls.into_iter().flatten().filter_map(Control::deadline);
        let engine = self.session.next_wake().map(|wake| wake.at);
        sending.chain(engine).chain(self.data.deadline()).min()
    }

    fn expire(&mut self, cx: &mut Context<'_>, now: Duration) {
        for side in [Side::Client, Side::Upstream] {
            let stalled = |control: &mut Control| control.has_stalled(now);
            if self.controls[side].as_mut().is_some_and(stalled) {
                self.tell(cx, Input::SendStalled { to: side });
            }
        }
        // Whoever closes or lingers looks at the clock by itself.
        if self.session.next_wake().is_some_and(|wake| wake.at <= now) {
            self.tell(cx, Input::TimePassed);
        }
    }
}
