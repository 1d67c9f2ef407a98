//! What the gateway asks of the broker, each answered by one [`Answer`](super::Answer).

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::{Garbled, Page, begin, open};
use crate::nft::{Admits, FirewallHole, HoleKey, Opening};

pub(super) const SPEAKER: u8 = b'Q';

const FORWARD: u8 = 1;
const RELAY: u8 = 2;
const RENEW: u8 = 3;
const USAGE: u8 = 4;
const KILL: u8 = 5;
const CLOSE: u8 = 6;
const BAN: u8 = 7;
const UNBAN: u8 = 8;
const DIALLER: u8 = 9;
const REREAD: u8 = 10;
const OPEN_JOURNAL: u8 = 11;
const PUT_JOURNAL_ASIDE: u8 = 12;
const EXPIRE_JOURNALS: u8 = 13;
const SETTLE: u8 = 14;
const RELAY_SEVERAL: u8 = 15;

/// A question or a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// [`Firewall::open`](crate::nft::Firewall::open).
    Open(FirewallHole),
    /// [`Firewall::renew`](crate::nft::Firewall::renew).
    Renew {
        /// The hole.
        key: HoleKey,
        /// How long from now.
        ttl: Duration,
    },
    /// [`Firewall::usage`](crate::nft::Firewall::usage).
    Usage(HoleKey),
    /// [`Firewall::kill`](crate::nft::Firewall::kill).
    Kill(HoleKey),
    /// [`Firewall::close`](crate::nft::Firewall::close).
    Close(HoleKey),
    /// [`Firewall::settle`](crate::nft::Firewall::settle); answered by `Usage` when its connection runs.
    Settle(HoleKey),
    /// Keep a network away from us for a while.
    Ban {
        /// Whom.
        network: IpNet,
        /// How long from now.
        ttl: Duration,
    },
    /// Let a banned network come again.
    Unban(IpNet),
    /// Give a socket that is bound to the port beside a listener's, to dial from.
    Dialler {
        /// The address and port.
        from: SocketAddr,
    },
    /// Read the config again and give the new one.
    Reread,
    /// See to the journal's files.
    Keep(Keep),
}

/// What is asked about the journal's files; which they are, only the broker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Open the journal for appending.
    Open,
    /// Put the journal aside if it still is this file, and open a new one.
    PutAside {
        /// The file's device.
        device: u64,
        /// Its number there.
        inode: u64,
    },
    /// Delete what was put aside too long ago.
    Expire,
}

impl Request {
    /// Writes it as a page.
    #[must_use]
    pub fn emit(&self, number: u32) -> Page {
        let with_key = |kind, key: HoleKey| {
            let mut pen = begin(SPEAKER, kind, number);
            pen.u64(key.0);
            pen
        };
        let pen = match self {
            Request::Open(hole) => match hole.opening {
                Opening::Forward {
                    peer,
                    at,
                    to,
                    source,
                } => {
                    let mut pen = with_key(FORWARD, hole.key);
                    pen.duration(hole.ttl);
                    pen.address(Some(SocketAddr::new(peer, 0)));
                    pen.address(Some(at));
                    pen.address(Some(to));
                    pen.address(source);
                    pen
                }
                Opening::Relay { peer, at, admits } => {
                    let kind = match admits {
                        Admits::One => RELAY,
                        Admits::Several => RELAY_SEVERAL,
                    };
                    let mut pen = with_key(kind, hole.key);
                    pen.duration(hole.ttl);
                    pen.network(peer);
                    pen.address(Some(at));
                    pen
                }
            },
            Request::Renew { key, ttl } => {
                let mut pen = with_key(RENEW, *key);
                pen.duration(*ttl);
                pen
            }
            Request::Usage(key) => with_key(USAGE, *key),
            Request::Kill(key) => with_key(KILL, *key),
            Request::Close(key) => with_key(CLOSE, *key),
            Request::Settle(key) => with_key(SETTLE, *key),
            Request::Ban { network, ttl } => {
                let mut pen = begin(SPEAKER, BAN, number);
                pen.duration(*ttl);
                pen.network(*network);
                pen
            }
            Request::Unban(network) => {
                let mut pen = begin(SPEAKER, UNBAN, number);
                pen.network(*network);
                pen
            }
            Request::Dialler { from } => {
                let mut pen = begin(SPEAKER, DIALLER, number);
                pen.address(Some(*from));
                pen
            }
            Request::Reread => begin(SPEAKER, REREAD, number),
            Request::Keep(Keep::Open) => begin(SPEAKER, OPEN_JOURNAL, number),
            Request::Keep(Keep::PutAside { device, inode }) => {
                let mut pen = begin(SPEAKER, PUT_JOURNAL_ASIDE, number);
                pen.u64(*device);
                pen.u64(*inode);
                pen
            }
            Request::Keep(Keep::Expire) => begin(SPEAKER, EXPIRE_JOURNALS, number),
        };
        pen.finish()
    }

    /// Reads a page; answers with the request's number too.
    ///
    /// # Errors
    /// When it is no request.
    pub fn parse(page: &Page) -> Result<(u32, Request), Garbled> {
        read(page).ok_or(Garbled)
    }
}

fn read(page: &Page) -> Option<(u32, Request)> {
    let (kind, number, mut reader) = open(page, SPEAKER)?;
    let request = match kind {
        FORWARD => {
            let key = HoleKey(reader.u64()?);
            let ttl = reader.duration()?;
            // Neither a port nor a scope: a rule of the firewall cannot hold them.
            let peer = reader.address()?;
            let opening = Opening::Forward {
                peer: (peer == SocketAddr::new(peer.ip(), 0)).then_some(peer.ip())?,
                at: reader.address()?,
                to: reader.address()?,
                source: reader.optional_address()?,
            };
            Request::Open(FirewallHole { key, opening, ttl })
        }
        RELAY | RELAY_SEVERAL => {
            let key = HoleKey(reader.u64()?);
            let ttl = reader.duration()?;
            let opening = Opening::Relay {
                peer: reader.network()?,
                at: reader.address()?,
                admits: if kind == RELAY {
                    Admits::One
                } else {
                    Admits::Several
                },
            };
            Request::Open(FirewallHole { key, opening, ttl })
        }
        RENEW => Request::Renew {
            key: HoleKey(reader.u64()?),
            ttl: reader.duration()?,
        },
        USAGE => Request::Usage(HoleKey(reader.u64()?)),
        KILL => Request::Kill(HoleKey(reader.u64()?)),
        CLOSE => Request::Close(HoleKey(reader.u64()?)),
        SETTLE => Request::Settle(HoleKey(reader.u64()?)),
        BAN => {
            let ttl = reader.duration()?;
            let network = reader.network()?;
            Request::Ban { network, ttl }
        }
        UNBAN => Request::Unban(reader.network()?),
        DIALLER => Request::Dialler {
            from: reader.address()?,
        },
        REREAD => Request::Reread,
        OPEN_JOURNAL => Request::Keep(Keep::Open),
        PUT_JOURNAL_ASIDE => Request::Keep(Keep::PutAside {
            device: reader.u64()?,
            inode: reader.u64()?,
        }),
        EXPIRE_JOURNALS => Request::Keep(Keep::Expire),
        _ => return None,
    };
    reader.finish()?;
    Some((number, request))
}
