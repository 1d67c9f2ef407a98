//! Whether somebody else changes our table: heard from the kernel's own announcements.
//!
//! Everybody's changes are announced, also each element of ours and each batch's number; a filter on the socket drops these
//! two, so that an opened pinhole wakes nobody. This module must not judge what it hears: [`super::Kernel::verify`] does.

use std::os::fd::AsFd;

use rustix::io::Errno;
use socket2::{SockFilter, SockRef};

use super::channel::{Ear, refused};
use super::error::Error;
use super::message::{Subsystem, attribute, string};

const GROUP: u32 = 1 << 6; // NFNLGRP_NFTABLES is 7
const ROOM: usize = 1 << 20;

// enum nf_tables_msg_types
const NEW_ELEMENT: u8 = 12;
const DELETE_ELEMENT: u8 = 14;
const NEW_GENERATION: u8 = 15;

// linux/bpf_common.h
const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Where a message's kind stands in its header: the lower byte of its type, in the machine's byte order.
const KIND: u32 = if cfg!(target_endian = "little") { 4 } else { 5 };

/// Listens to what changes.
pub(super) fn listen() -> Result<Ear, Error> {
    let mut ear = Ear::open(GROUP, ROOM)?;
    let only_what_matters = [
        SockFilter::new(LOAD_BYTE, 0, 0, KIND),
        SockFilter::new(JUMP_IF_EQUAL, 3, 0, NEW_ELEMENT.into()),
        SockFilter::new(JUMP_IF_EQUAL, 2, 0, DELETE_ELEMENT.into()),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, NEW_GENERATION.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ];
    SockRef::from(&ear.as_fd())
        .attach_filter(&only_what_matters)
        .map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            refused("listening to changes of the firewall", errno, None)
        })?;
    ear.never_wait()?;
    Ok(ear)
}

/// Reads all announcements; tells whether one, or one that was lost, may be of our table.
pub(super) fn hear(ear: &mut Ear, table: &str) -> Result<bool, Error> {
    let mut changed = false;
    let lost = ear.hear(|kind, attributes| {
        let silent = [NEW_ELEMENT, DELETE_ELEMENT, NEW_GENERATION];
        let ours = || attribute(attributes, 1).is_some_and(|name| string(name) == table);
        let matters = kind >> 8 == Subsystem::Tables as u16
            && silent
                .iter()
                .all(|kind_of| u16::from(*kind_of) != kind & 0xff);
        changed |= matters && ours();
    })?;
    Ok(changed || lost)
}
