//! What gateway and broker say to each other: values of one fixed size in one fixed layout.
//!
//! ```text
//! 0      version (1)
//! 1      who speaks: 'Q' request, 'A' answer, 'N' notice, 'R' report
//! 2      kind
//! 3      in the first page of a request: on which processor whoever asks runs, plus 1; 0 if it does not say so, and in all others
//! 4..8   number of the request, 0 in notices and reports
//! 8..    the kind's own fields in their order, little-endian; the rest is 0
//! ```
//!
//! Invariant: what is read is exactly one way to write a value, so nothing can hide in a page; anything else is
//! refused whole. This module must not know what is permitted.

mod answer;
mod field;
mod notice;
mod request;
mod together;

use field::{Pen, Reader};

pub use answer::{Answer, Reason};
pub use notice::{Handed, Notice, Report};
pub use request::{Keep, Request};
pub use together::{Together, emit_together};

/// Length of every message in bytes.
pub const SIZE: usize = 128;

/// One message as it travels.
pub type Page = [u8; SIZE];

/// Most messages that travel together: as many as the sessions of one worker may well want at once.
pub const MOST_TOGETHER: usize = 16;

/// The layout's version. Broker and gateway are one executable, so that any other version is a fault.
const VERSION: u8 = 1;

/// A page that says nothing: a fault of whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message that says nothing")]
pub struct Garbled;

/// Where a request says from which processor it comes.
const PROCESSOR: usize = 3;

/// Writes into a request, of one page or several, on which processor whoever asks runs; the 256th and those behind it cannot be said.
pub fn say_where(request: &mut [u8], processor: usize) {
    let said = u8::try_from(processor)
        .ok()
        .and_then(|number| number.checked_add(1));
    if let (Some(place), Some(said)) = (request.get_mut(PROCESSOR), said) {
        *place = said;
    }
}

/// Tells from which processor a request says that it comes: whatever the gateway likes to say.
#[must_use]
pub fn said_where(request: &[u8]) -> Option<usize> {
    let said = request.get(PROCESSOR).copied().map(usize::from);
    said?.checked_sub(1)
}

/// Begins a page.
fn begin(speaker: u8, kind: u8, number: u32) -> Pen {
    let mut pen = Pen::new();
    pen.u8(VERSION);
    pen.u8(speaker);
    pen.u8(kind);
    pen.u8(0);
    pen.u32(number);
    pen
}

/// Takes a page's beginning; answers with its kind and number.
fn open<'a>(page: &'a Page, speaker: u8) -> Option<(u8, u32, Reader<'a>)> {
    let mut reader = Reader::new(page);
    let right = reader.u8()? == VERSION && reader.u8()? == speaker;
    let kind = reader.u8()?;
    let processor = reader.u8()?;
    let right = right && (processor == 0 || speaker == request::SPEAKER);
    let number = reader.u32()?;
    right.then_some((kind, number, reader))
}
