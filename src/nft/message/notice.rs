//! What each tells the other unasked: notices come from the broker, reports from the gateway.

use super::{Garbled, Page, begin, open};
use crate::nft::{Happening, HoleKey};

const BROKER: u8 = b'N';
const GATEWAY: u8 = b'R';

const HANDED: u8 = 1;
const COMPLETE: u8 = 2;
const USED: u8 = 3;
const KNOCKED: u8 = 4;
const RESTORED: u8 = 5;
const DRAIN: u8 = 6;
const END: u8 = 7;
const RELOAD: u8 = 8;

const READY: u8 = 1;
const RELOADED: u8 = 2;
const STOPPING: u8 = 3;

/// What the broker tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Here is a descriptor.
    Handed(Handed),
    /// Everything was handed over: begin.
    Complete,
    /// Something happened in the firewall.
    Happened(Happening),
    /// Take no new sessions, and end when the last is over.
    Drain,
    /// End all sessions now.
    End,
    /// Ask for the config again.
    Reload,
}

/// What a descriptor is that travels with a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// The config with everything that it names, in a sealed memory file.
    Bundle,
    /// A listening socket; they come in the order of the bundle's list.
    Listener,
    /// The listening socket of `control.socket`.
    Control,
    /// One end of a socket for requests.
    Requests,
    /// The socket for questions about names.
    Names,
}

/// What the gateway tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Clients can come.
    Ready,
    /// A config that was asked for is in force, or could not be used.
    Reloaded {
        /// Whether it is in force.
        in_force: bool,
    },
    /// No new sessions are taken any more.
    Stopping,
}

impl Notice {
    /// Writes it as a page.
    #[must_use]
    pub fn emit(&self) -> Page {
        let plain = |kind| begin(BROKER, kind, 0);
        let pen = match self {
            Notice::Handed(what) => {
                let mut pen = plain(HANDED);
                pen.u8(match what {
                    Handed::Bundle => 1,
                    Handed::Listener => 2,
                    Handed::Control => 3,
                    Handed::Requests => 4,
                    Handed::Names => 5,
                });
                pen
            }
            Notice::Complete => plain(COMPLETE),
            Notice::Happened(Happening::Used { key, peer }) => {
                let mut pen = plain(USED);
                pen.u64(key.0);
                pen.address(Some(*peer));
                pen
            }
            Notice::Happened(Happening::Knocked { from, at, more }) => {
                let mut pen = plain(KNOCKED);
                pen.address(Some(*from));
                pen.address(Some(*at));
                pen.u32(*more);
                pen
            }
            Notice::Happened(Happening::Restored) => plain(RESTORED),
            Notice::Drain => plain(DRAIN),
            Notice::End => plain(END),
            Notice::Reload => plain(RELOAD),
        };
        pen.finish()
    }

    /// Reads a page.
    ///
    /// # Errors
    /// When it is no notice.
    pub fn parse(page: &Page) -> Result<Notice, Garbled> {
        read_notice(page).ok_or(Garbled)
    }
}

fn read_notice(page: &Page) -> Option<Notice> {
    let (kind, number, mut reader) = open(page, BROKER)?;
    let notice = match kind {
        HANDED => Notice::Handed(match reader.u8()? {
            1 => Handed::Bundle,
            2 => Handed::Listener,
            3 => Handed::Control,
            4 => Handed::Requests,
            5 => Handed::Names,
            _ => return None,
        }),
        COMPLETE => Notice::Complete,
        USED => Notice::Happened(Happening::Used {
            key: HoleKey(reader.u64()?),
            peer: reader.address()?,
        }),
        KNOCKED => Notice::Happened(Happening::Knocked {
            from: reader.address()?,
            at: reader.address()?,
            more: reader.u32()?,
        }),
        RESTORED => Notice::Happened(Happening::Restored),
        DRAIN => Notice::Drain,
        END => Notice::End,
        RELOAD => Notice::Reload,
        _ => return None,
    };
    reader.finish()?;
    (number == 0).then_some(notice)
}

impl Report {
    /// Writes it as a page.
    #[must_use]
    pub fn emit(&self) -> Page {
        let pen = match self {
            Report::Ready => begin(GATEWAY, READY, 0),
            Report::Reloaded { in_force } => {
                let mut pen = begin(GATEWAY, RELOADED, 0);
                pen.u8(u8::from(*in_force));
                pen
            }
            Report::Stopping => begin(GATEWAY, STOPPING, 0),
        };
        pen.finish()
    }

    /// Reads a page.
    ///
    /// # Errors
    /// When it is no report.
    pub fn parse(page: &Page) -> Result<Report, Garbled> {
        read_report(page).ok_or(Garbled)
    }
}

fn read_report(page: &Page) -> Option<Report> {
    let (kind, number, mut reader) = open(page, GATEWAY)?;
    let report = match kind {
        READY => Report::Ready,
        RELOADED => Report::Reloaded {
            in_force: reader.bool()?,
        },
        STOPPING => Report::Stopping,
        _ => return None,
    };
    reader.finish()?;
    (number == 0).then_some(report)
}
