//! Requests that came in one message: each checked by itself, those that are permitted done in one go.
//!
//! Invariant: each has the answer that it would have had alone; what one of them is refused takes none of the others down.

use std::collections::HashSet;

use super::desk::place;
use super::{Desk, Hands, Office};
use crate::nft::message::{Answer, Reason, Request};
use crate::nft::{Granted, Wish};

impl<H: Hands, O: Office> Desk<H, O> {
    /// Checks requests and does them; answers in their order.
    pub fn serve_together(&mut self, requests: &[Request]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = vec![None; requests.len()];
        let mut named = HashSet::new();
        let (mut wishes, mut places) = (Vec::new(), Vec::new());
        let mut opening = 0;
        for (index, request) in requests.iter().enumerate() {
            let wish = match *request {
                Request::Open(hole) if self.has_room(opening + 1) && named.insert(hole.key) => {
                    opening += 1;
                    self.permit(hole).map(Wish::Open)
                }
                Request::Settle(key) if named.insert(key) => {
                    self.standing(key).map(|(own, _)| Wish::Settle(own))
                }
                // What is said twice is done behind the others, and what finds no room, which one of them may give.
                _ => continue,
            };
            match wish {
                Ok(wish) => {
                    wishes.push(wish);
                    places.push(index);
                }
                Err(reason) => answers[index] = Some(Answer::Refused(reason)),
            }
        }
        let done = self.hands.together(&wishes);
        for (index, done) in places.into_iter().zip(done) {
            answers[index] = Some(match (requests[index], done) {
                (Request::Open(hole), Ok(_)) => {
                    self.standing.insert(hole.key, place(&hole));
                    Answer::Done
                }
                (Request::Settle(key), Ok(Granted::Settled(settling))) => {
                    self.settled(key, settling)
                }
                (_, Ok(_)) => Answer::Done,
                (_, Err(error)) => Answer::Refused(Reason::of(&error)),
            });
        }
        let each = answers.into_iter().zip(requests);
        each.map(|(answer, request)| answer.unwrap_or_else(|| self.serve(*request).0))
            .collect()
    }
}
