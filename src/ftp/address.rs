//! Addresses and ports in commands and replies: lenient in where servers differ, canonical in what goes out.
//!
//! Invariant: nothing wraps around and nothing is guessed. Whether an address is trusted is not decided here.

mod active;
mod field;
mod passive;

pub use active::{eprt_argument, parse_eprt, parse_port, port_argument};
pub use passive::{EpsvArgument, parse_227, parse_229, reply_227, reply_229};

/// Says why no address could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AddressFault {
    /// The text is not of the form that the RFC gives, or a number in it is out of range.
    #[error("malformed address or port")]
    Malformed,
    /// The text is well-formed and names an address family other than IPv4 (1) and IPv6 (2).
    #[error("unsupported address family")]
    UnsupportedFamily,
}
