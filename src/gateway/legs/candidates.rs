//! Who came to a pinhole that is only for whoever resumes the session's own TLS.
//!
//! Invariant: a connection is handed out only after its handshake resumed the control connection's session; all others are
//! reset and told of as intruders. However many come, a bounded number is looked at, the newest.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

use super::Ground;
use crate::engine::{DataTls, Side, TlsFacts};
use crate::pinhole::{OpenPinhole, Stream};
use crate::tls::Channel;

/// Most handshakes that run for one pinhole.
const MOST: usize = 16;

/// The connections whose handshakes run.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    running: VecDeque<Candidate>,
    /// What was told last of whether any has begun its handshake.
    told_underway: bool,
}

#[derive(Debug)]
struct Candidate {
    socket: TcpStream,
    peer: SocketAddr,
    tls: Box<Channel>,
    until: Duration,
}

/// The one that proved to be the session's own.
pub(super) struct Proven {
    pub(super) stream: Stream,
    pub(super) peer: SocketAddr,
    pub(super) facts: Box<TlsFacts>,
}

impl Candidates {
    /// Makes the place for them at a pinhole that is protected so.
    pub(super) fn wanted(tls: DataTls) -> Option<Box<Candidates>> {
        match tls {
            DataTls::Clear | DataTls::Tls => None,
            DataTls::Resumed => Some(Box::default()),
        }
    }

    /// Goes on with all of them.
    ///
    /// # Errors
    /// The kernel's, when it can't accept.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        open: &mut OpenPinhole,
        ground: &Ground<'_>,
    ) -> Poll<std::io::Result<Proven>> {
        loop {
            let (socket, peer) = match open.poll_candidate(cx) {
                Poll::Ready(Ok(admitted)) => admitted,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            };
            let Some(Ok(tls)) = ground.secure.map(|secure| secure.data(Side::Client)) else {
                open.turn_away(&socket, peer);
                continue;
            };
            self.running.push_back(Candidate {
                socket,
                peer,
                tls,
                until: ground.now + ground.connect,
            });
            if self.running.len() > MOST
                && let Some(oldest) = self.running.pop_front()
            {
                open.turn_away(&oldest.socket, oldest.peer);
            }
        }
        let mut proven = None;
        self.running.retain_mut(|one| {
            if proven.is_some() {
                return true;
            }
            match one.tls.poll_handshake(cx, &mut one.socket) {
                Poll::Ready(Ok(facts)) if facts.resumed => {
                    proven = Some((one.peer, facts));
                    true
                }
                Poll::Pending if ground.now < one.until => true,
                over => {
                    tracing::debug!(peer = %one.peer, ?over, "a data connection is not the session's own");
                    open.turn_away(&one.socket, one.peer);
                    false
                }
            }
        });
        let Some((peer, facts)) = proven else {
            return Poll::Pending;
        };
        let mut winner = None;
        for one in self.running.drain(..) {
            if one.peer == peer {
                winner = Some(Stream::protected(one.socket, one.tls));
            } else {
                open.turn_away(&one.socket, one.peer);
            }
        }
        match winner {
            Some(stream) => Poll::Ready(Ok(Proven {
                stream,
                peer,
                facts,
            })),
            None => Poll::Pending,
        }
    }

    /// Tells whether a handshake runs that its client has begun, when that is news.
    pub(super) fn underway(&mut self) -> Option<bool> {
        let underway = self.running.iter().any(|one| one.tls.has_begun());
        let told = std::mem::replace(&mut self.told_underway, underway);
        (told != underway).then_some(underway)
    }

    /// When the first of them has taken too long.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.running.iter().map(|one| one.until).min()
    }
}
