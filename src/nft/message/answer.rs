//! What the broker answers.

use std::io;

use rustix::io::Errno;

use super::field::{Pen, Reader};
use super::{Garbled, Page, begin, open};
use crate::nft::{FlowState, FlowUsage, Settled};

const SPEAKER: u8 = b'A';

const DONE: u8 = 1;
const USAGE: u8 = 2;
const SETTLED: u8 = 3;
const REFUSED: u8 = 4;
const OPENED: u8 = 5;

/// The answer to one request; a descriptor may travel with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// To `Usage`.
    Usage(Option<FlowUsage>),
    /// To `Close`.
    Settled(Settled),
    /// To `Keep`: a journal file, which travels along.
    Opened {
        /// Whether it ends in the middle of a line.
        torn: bool,
        /// Whether other processes may write to the same open file.
        shared: bool,
    },
    /// It was not done.
    Refused(Reason),
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// The port is in no window of ours.
    #[error("this port is in no window of the config")]
    PortOutsideWindow,
    /// The address is none at which we may open.
    #[error("this is no address of ours where the config has a listener")]
    AddressNotOurs,
    /// This peer may not be let in.
    #[error("the config lets nobody of this address in")]
    PeerNotPermitted,
    /// A connection may not lead there.
    #[error("the config lets no connection lead there")]
    DestinationNotPermitted,
    /// A connection may not have this source.
    #[error("the config lets no connection come from this address and port")]
    SourceNotPermitted,
    /// The addresses of one hole are of two families.
    #[error("the addresses of one hole are of two IP families")]
    FamiliesDiffer,
    /// It would last too long, or no time at all.
    #[error("the config lets no hole last so long")]
    LastsTooLong,
    /// Too many of it stand.
    #[error("there are too many already")]
    TooMany,
    /// The name is taken, or none that can be used.
    #[error("this hole's name is taken")]
    KeyTaken,
    /// Nothing of that name stands.
    #[error("no such hole")]
    NoSuchHole,
    /// Nobody may ban that much.
    #[error("this network cannot be banned")]
    NotBannable,
    /// The new config is wrong; its problems travel along.
    #[error("the config is wrong")]
    Config,
    /// The kernel said no.
    #[error("{}", io::Error::from_raw_os_error(*.0))]
    Kernel(i32),
}

impl Reason {
    /// What the kernel or a program of ours said, in as few words as travel.
    #[must_use]
    pub fn of(error: &io::Error) -> Reason {
        match error.raw_os_error() {
            Some(errno) => Reason::Kernel(errno),
            None => match error.kind() {
                io::ErrorKind::NotFound => Reason::NoSuchHole,
                io::ErrorKind::AlreadyExists => Reason::KeyTaken,
                io::ErrorKind::PermissionDenied => Reason::Kernel(Errno::PERM.raw_os_error()),
                _ => Reason::Kernel(Errno::IO.raw_os_error()),
            },
        }
    }

    const fn number(self) -> u8 {
        match self {
            Reason::PortOutsideWindow => 1,
            Reason::AddressNotOurs => 2,
            Reason::PeerNotPermitted => 3,
            Reason::DestinationNotPermitted => 4,
            Reason::SourceNotPermitted => 5,
            Reason::FamiliesDiffer => 6,
            Reason::LastsTooLong => 7,
            Reason::TooMany => 8,
            Reason::KeyTaken => 9,
            Reason::NoSuchHole => 10,
            Reason::NotBannable => 11,
            Reason::Config => 12,
            Reason::Kernel(_) => 13,
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Reason> {
        let number = reader.u8()?;
        let errno = i32::try_from(reader.u32()?).ok()?;
        let reason = match number {
            1 => Reason::PortOutsideWindow,
            2 => Reason::AddressNotOurs,
            3 => Reason::PeerNotPermitted,
            4 => Reason::DestinationNotPermitted,
            5 => Reason::SourceNotPermitted,
            6 => Reason::FamiliesDiffer,
            7 => Reason::LastsTooLong,
            8 => Reason::TooMany,
            9 => Reason::KeyTaken,
            10 => Reason::NoSuchHole,
            11 => Reason::NotBannable,
            12 => Reason::Config,
            13 => return Some(Reason::Kernel(errno)),
            _ => return None,
        };
        (errno == 0).then_some(reason)
    }
}

impl From<Reason> for io::Error {
    fn from(reason: Reason) -> io::Error {
        match reason {
            Reason::Kernel(errno) => io::Error::from_raw_os_error(errno),
            Reason::NoSuchHole => io::Error::new(io::ErrorKind::NotFound, reason),
            Reason::TooMany => io::Error::new(io::ErrorKind::StorageFull, reason),
            Reason::KeyTaken => io::Error::new(io::ErrorKind::AlreadyExists, reason),
            Reason::Config => io::Error::new(io::ErrorKind::InvalidData, reason),
            Reason::PortOutsideWindow
            | Reason::AddressNotOurs
            | Reason::PeerNotPermitted
            | Reason::DestinationNotPermitted
            | Reason::SourceNotPermitted
            | Reason::FamiliesDiffer
            | Reason::LastsTooLong
            | Reason::NotBannable => io::Error::new(io::ErrorKind::PermissionDenied, reason),
        }
    }
}

impl Answer {
    /// Writes it as a page.
    #[must_use]
    pub fn emit(&self, number: u32) -> Page {
        let pen = match self {
            Answer::Done => begin(SPEAKER, DONE, number),
            Answer::Usage(usage) => {
                let mut pen = begin(SPEAKER, USAGE, number);
                write_usage(&mut pen, *usage);
                pen
            }
            Answer::Settled(settled) => {
                let mut pen = begin(SPEAKER, SETTLED, number);
                pen.address(settled.by);
                write_usage(&mut pen, settled.usage);
                pen
            }
            Answer::Opened { torn, shared } => {
                let mut pen = begin(SPEAKER, OPENED, number);
                pen.u8(u8::from(*torn));
                pen.u8(u8::from(*shared));
                pen
            }
            Answer::Refused(reason) => {
                let mut pen = begin(SPEAKER, REFUSED, number);
                pen.u8(reason.number());
                pen.u32(match reason {
                    Reason::Kernel(errno) => errno.unsigned_abs(),
                    _ => 0,
                });
                pen
            }
        };
        pen.finish()
    }

    /// Reads a page; answers with the number of the request that it answers.
    ///
    /// # Errors
    /// When it is no answer.
    pub fn parse(page: &Page) -> Result<(u32, Answer), Garbled> {
        read(page).ok_or(Garbled)
    }
}

fn read(page: &Page) -> Option<(u32, Answer)> {
    let (kind, number, mut reader) = open(page, SPEAKER)?;
    let answer = match kind {
        DONE => Answer::Done,
        USAGE => Answer::Usage(read_usage(&mut reader)?),
        SETTLED => Answer::Settled(Settled {
            by: reader.optional_address()?,
            usage: read_usage(&mut reader)?,
        }),
        OPENED => Answer::Opened {
            torn: reader.bool()?,
            shared: reader.bool()?,
        },
        REFUSED => Answer::Refused(Reason::read(&mut reader)?),
        _ => return None,
    };
    reader.finish()?;
    Some((number, answer))
}

/// State (0: no usage), then the four counters.
fn write_usage(pen: &mut Pen, usage: Option<FlowUsage>) {
    let Some(usage) = usage else {
        return pen.u8(0);
    };
    pen.u8(match usage.state {
        FlowState::Opening => 1,
        FlowState::Open => 2,
        FlowState::Ending => 3,
        FlowState::Over => 4,
    });
    pen.u64(usage.wire_bytes_from_peer);
    pen.u64(usage.packets_from_peer);
    pen.u64(usage.wire_bytes_to_peer);
    pen.u64(usage.packets_to_peer);
}

/// The outer option says whether the fields are right.
fn read_usage(reader: &mut Reader<'_>) -> Option<Option<FlowUsage>> {
    let state = match reader.u8()? {
        0 => return Some(None),
        1 => FlowState::Opening,
        2 => FlowState::Open,
        3 => FlowState::Ending,
        4 => FlowState::Over,
        _ => return None,
    };
    Some(Some(FlowUsage {
        wire_bytes_from_peer: reader.u64()?,
        packets_from_peer: reader.u64()?,
        wire_bytes_to_peer: reader.u64()?,
        packets_to_peer: reader.u64()?,
        state,
    }))
}
