//! How a control connection is closed: what waits is sent, the end is said, and the peer's own end is awaited.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::super::wire::Behind;
use super::{CLOSE_WAIT, Closing, Control, Flushed, Stage, Tls};

impl Control {
    /// Begins to close: what waits is sent first.
    pub(in super::super) fn close(&mut self, now: Duration) {
        self.closing.get_or_insert_with(|| {
            Box::new(Closing {
                until: now + CLOSE_WAIT,
                output_ended: false,
            })
        });
    }

    /// Goes on with closing. Ready when nothing is left to do and the socket may be dropped.
    ///
    /// The peer's own end is awaited, because closing with bytes unread would reset the connection and take our
    /// last reply with it (RFC 1122 section 4.2.2.13).
    pub(in super::super) fn poll_closed(
        &mut self,
        cx: &mut Context<'_>,
        now: Duration,
        buffer: &mut [u8],
    ) -> Poll<()> {
        if self
            .closing
            .as_deref()
            .is_none_or(|closing| closing.until <= now)
        {
            return Poll::Ready(());
        }
        match self.flush_before(cx, now, CLOSE_WAIT, Behind::End) {
            Flushed::Some => return Poll::Pending,
            Flushed::Broken => return Poll::Ready(()),
            Flushed::All => {}
        }
        if self.ended || self.mute {
            return Poll::Ready(());
        }
        // A peer that has hung up already gets our FIN by the close alone.
        if self.tls.is_none() && self.poll_drained(cx, buffer).is_ready() {
            return Poll::Ready(());
        }
        if let Some(closing) = self
            .closing
            .as_deref_mut()
            .filter(|closing| !closing.output_ended)
        {
            if let Some(Tls {
                channel,
                stage: Stage::Up,
            }) = self.tls.as_deref_mut()
                && ready!(channel.poll_end(cx, &mut self.wire)).is_err()
            {
                return Poll::Ready(());
            }
            closing.output_ended = true;
            if self.wire.end_output().is_err() {
                return Poll::Ready(());
            }
        }
        self.poll_drained(cx, buffer)
    }

    /// Drops what the peer still sends. Ready at its end.
    fn poll_drained(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<()> {
        loop {
            match ready!(self.wire.poll_read(cx, buffer)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }
}
