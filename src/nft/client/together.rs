//! Several questions in one message, and their answers in another.
//!
//! Invariant: an answer is never taken for another question's; an opening that was not answered is in doubt.

use std::io;

use super::super::message::{Answer, Request, SIZE, emit_together};
use super::super::{Granted, Settling, Wish, socket};
use super::{Client, Seat, late, nonsense, say_where_from, settling};

impl Client {
    /// Asks for as many as travel together at most.
    pub(super) fn ask_together(&self, wishes: &[Wish]) -> Vec<io::Result<Granted>> {
        if let [wish] = wishes {
            return vec![self.ask_alone(wish)];
        }
        for wish in wishes {
            if let Wish::Open(hole) = wish {
                self.note_opening(hole);
            }
        }
        let answers = self.answers_together(wishes);
        let each = wishes.iter().zip(answers);
        each.map(|(wish, answer)| {
            let granted = match (wish, answer) {
                (_, Err(error)) => Err(error),
                (Wish::Open(_), Ok(Answer::Done)) => Ok(Granted::Opened),
                (Wish::Open(_), Ok(Answer::Refused(reason))) => Err(reason.into()),
                (Wish::Open(_), Ok(_)) => Err(nonsense()),
                (Wish::Settle(_), Ok(answer)) => settling(answer).map(Granted::Settled),
            };
            match (wish, &granted) {
                (Wish::Open(hole), Err(_)) => {
                    self.awaited().remove(&hole.key);
                }
                (Wish::Settle(key), Ok(Granted::Settled(Settling::Shut(_)))) => {
                    self.awaited().remove(key);
                }
                (Wish::Open(_), Ok(_)) | (Wish::Settle(_), _) => {}
            }
            granted
        })
        .collect()
    }

    fn ask_alone(&self, wish: &Wish) -> io::Result<Granted> {
        use super::Firewall as _;
        match wish {
            Wish::Open(hole) => self.open(hole).map(|()| Granted::Opened),
            Wish::Settle(key) => self.settle(*key).map(Granted::Settled),
        }
    }

    fn answers_together(&self, wishes: &[Wish]) -> Vec<io::Result<Answer>> {
        let failed = |error: &io::Error| {
            let each = wishes.iter();
            each.map(|_| Err(again(error))).collect()
        };
        let mut seat = match self.seat() {
            Ok(seat) => seat,
            // Nothing was asked.
            Err(error) => return failed(&error),
        };
        let requests: Vec<Request> = wishes
            .iter()
            .map(|wish| match wish {
                Wish::Open(hole) => Request::Open(*hole),
                Wish::Settle(key) => Request::Settle(*key),
            })
            .collect();
        match seat.ask_together(&requests) {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => {
                for wish in wishes {
                    if let Wish::Open(hole) = wish {
                        seat.doubtful.push(hole.key);
                    }
                }
                failed(&error)
            }
        }
    }
}

impl Seat {
    /// Asks several things at once; answers in their order.
    fn ask_together(&mut self, requests: &[Request]) -> io::Result<Vec<Answer>> {
        let first = self.number.wrapping_add(1);
        let count = u32::try_from(requests.len()).map_err(|_| nonsense())?;
        self.number = self.number.wrapping_add(count);
        let mut pages = emit_together(first, requests, Request::emit);
        say_where_from(&mut pages);
        socket::send_together(&self.socket, &pages).map_err(late)?;
        let mut room = [0; _];
        loop {
            let message = match socket::receive_together(&self.socket, &mut room) {
                Ok(Some(message)) => message,
                Ok(None) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Err(error) => {
                    self.unanswered += 1;
                    return Err(late(error));
                }
            };
            let (pages, rest) = message.as_chunks::<SIZE>();
            let answers: Vec<(u32, Answer)> = pages
                .iter()
                .map(|page| Answer::parse(page).map_err(|_| nonsense()))
                .collect::<io::Result<_>>()?;
            match answers.first() {
                Some((number, _)) if *number == first => {}
                // The answer to a question that nobody waits for any more is passed over.
                Some(_) => {
                    self.unanswered -= usize::from(answers.len() > 1 && self.unanswered > 0);
                    continue;
                }
                None => return Err(nonsense()),
            }
            let in_order = answers
                .iter()
                .zip(0..)
                .all(|((number, _), place)| *number == first.wrapping_add(place));
            if !in_order || answers.len() != requests.len() || !rest.is_empty() {
                return Err(nonsense());
            }
            return Ok(answers.into_iter().map(|(_, answer)| answer).collect());
        }
    }
}

/// The same error for one more.
fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => error.kind().into(),
    }
}
