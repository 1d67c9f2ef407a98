//! Several requests in one message, answered by one message of as many answers in their order.
//!
//! Invariant: only what carries no descriptor and what sessions ask for many times a second travels so (openings and settlings), at
//! most [`MOST_TOGETHER`] of it, under numbers that follow one another.

use super::{Garbled, MOST_TOGETHER, Page, Request, SIZE, said_where};

/// What came in one message: at least one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    /// The first one's number; each other's is the one after its forerunner's.
    pub first: u32,
    /// The requests.
    pub requests: Vec<Request>,
}

impl Together {
    /// Reads a message of one or more pages.
    ///
    /// # Errors
    /// When a page is no request, numbers do not follow one another, there are none or too many, or one among several may come alone
    /// only.
    pub fn parse(message: &[u8]) -> Result<Together, Garbled> {
        let (pages, rest) = message.as_chunks::<SIZE>();
        if pages.is_empty() || pages.len() > MOST_TOGETHER || !rest.is_empty() {
            return Err(Garbled);
        }
        let mut requests = Vec::with_capacity(pages.len());
        let mut numbers: Option<(u32, u32)> = None;
        for page in pages {
            let (number, request) = Request::parse(page)?;
            if !requests.is_empty() && said_where(page).is_some() {
                return Err(Garbled);
            }
            let (first, next) = numbers.unwrap_or((number, number));
            if number != next || (pages.len() > 1 && !travels_with_others(&request)) {
                return Err(Garbled);
            }
            numbers = Some((first, next.wrapping_add(1)));
            requests.push(request);
        }
        let (first, _) = numbers.ok_or(Garbled)?;
        Ok(Together { first, requests })
    }
}

/// Writes pages as one message: `emit` makes each of its item and number, the first being `first`.
#[must_use]
pub fn emit_together<T>(first: u32, items: &[T], emit: impl Fn(&T, u32) -> Page) -> Vec<u8> {
    let mut message = Vec::with_capacity(items.len() * SIZE);
    let mut number = first;
    for item in items {
        message.extend_from_slice(&emit(item, number));
        number = number.wrapping_add(1);
    }
    message
}

fn travels_with_others(request: &Request) -> bool {
    match request {
        Request::Open(_) | Request::Settle(_) => true,
        Request::Renew { .. }
        | Request::Usage(_)
        | Request::Kill(_)
        | Request::Close(_)
        | Request::Ban { .. }
        | Request::Unban(_)
        | Request::Dialler { .. }
        | Request::Reread
        | Request::Keep(_) => false,
    }
}
