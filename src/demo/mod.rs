//! `portcullis demo`: a small FTP server, a gateway in front, and transfers through it.
//!
//! The server ([`DemoServer`]) and the client ([`DemoClient`]) are written apart from the gateway's reading of FTP, so that
//! a mistake in one is seen by the other. How a gateway is started is the caller's: [`run`] is handed a closure, and
//! learns of pinholes from the journal's lines alone. Nothing here needs privilege, a disk or another machine.

mod address;
mod carry;
mod client;
mod control;
mod files;
mod listing;
mod narration;
mod negotiate;
mod path;
mod server;
mod session;
mod show;
mod store;
mod tour;
mod transfer;

pub use client::{ClientError, DataMode, DemoClient};
pub use narration::{Narrator, News, PinholeStory};
pub use server::{DemoServer, PATTERN_NAME, pattern};
pub use show::{DemoError, DemoOptions, RunningGateway, StartError, run};
pub use tour::{Action, TourFault, Transfer, make_transfers};

#[cfg(test)]
mod tests;
