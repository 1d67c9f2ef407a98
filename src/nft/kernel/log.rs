//! What the kernel logs (NFLOG): first packets that were let in, and knocks at shut ports.
//!
//! linux/netfilter/nfnetlink_log.h has the numbers. This module must not know what a packet means for a hole.

use rustix::io::Errno;

use super::channel::Ear;
use super::error::Error;
use super::message::{Attributes, Message, Subsystem, attribute};
use crate::nft::packet::{Dial, dial};

const PACKET: u8 = 0;
const CONFIGURE: u8 = 1;

/// Room for some thousand packets that nobody has read yet.
const ROOM: usize = 4 << 20;

/// Listens at a group, alone.
pub(super) fn listen(group: u16) -> Result<Ear, Error> {
    let mut ear = Ear::open(0, ROOM)?;
    ear.tell(
        "listening to an NFLOG group",
        configure(group, |command| {
            command.bytes(1, &[1]); // NFULA_CFG_CMD: NFULNL_CFG_CMD_BIND
        }),
    )
    .map_err(taken)?;
    ear.tell(
        "preparing an NFLOG group",
        configure(group, |settings| {
            // NFULA_CFG_MODE: whole packets, of which the rules take the first bytes.
            settings.bytes(2, &[0, 0, 0xff, 0xff, 2, 0]);
            settings.be32(3, 1024); // NFULA_CFG_NLBUFSIZ: room for one packet's message, so that many fit into the socket
            settings.be32(4, 1); // NFULA_CFG_TIMEOUT: a hundredth of a second; the default is a whole one
            settings.be32(5, 1); // NFULA_CFG_QTHRESH: every packet at once
        }),
    )?;
    ear.never_wait()?;
    Ok(ear)
}

/// The kernel says EPERM also when somebody else listens already; who may not listen at all has failed before this.
fn taken(error: Error) -> Error {
    match error {
        Error::Kernel(refusal) if matches!(refusal.errno, Errno::PERM | Errno::BUSY) => {
            Error::Taken(refusal)
        }
        other => other.by_kind(),
    }
}

fn configure(group: u16, fill: impl FnOnce(&mut Attributes)) -> Message {
    // The family is AF_UNSPEC: a group is not bound to one.
    Message::new(Subsystem::Log.kind(CONFIGURE), 0, 0, group, fill)
}

/// Hands over the dials that were logged; tells whether some were lost.
pub(super) fn hear(ear: &mut Ear, mut each: impl FnMut(Dial)) -> Result<bool, Error> {
    ear.hear(|kind, attributes| {
        if kind == Subsystem::Log.kind(PACKET)
            && let Some(packet) = attribute(attributes, 9) // NFULA_PAYLOAD
            && let Some(dial) = dial(packet)
        {
            each(dial);
        }
    })
}
