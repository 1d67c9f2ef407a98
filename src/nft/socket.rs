//! Carries pages and descriptors between two processes of ours (unix(7), SOCK_SEQPACKET).
//!
//! Invariant: a page arrives whole or not at all, and at most one descriptor with it; the broker's side never takes
//! a descriptor. This module must not know what pages say.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::cmsg_space;
use rustix::io::retry_on_intr;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use super::message::{MOST_TOGETHER, Page, SIZE};

/// What came.
#[derive(Debug)]
pub enum Arrived {
    /// A page, and the descriptor that travelled with it.
    Page(Box<Page>, Option<OwnedFd>),
    /// Something of another length than a page has.
    Scrap,
    /// The other side is gone.
    End,
}

/// Makes two sockets that are joined; both are closed at exec.
///
/// # Errors
/// What the kernel says.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let made = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    );
    Ok(made?)
}

/// Makes a receiver give up after a while.
///
/// # Errors
/// What the kernel says.
pub fn set_patience(socket: impl AsFd, patience: Duration) -> io::Result<()> {
    set_socket_timeout(&socket, Timeout::Recv, Some(patience))?;
    set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    Ok(())
}

/// Sends a page and waits for room.
///
/// # Errors
/// `WouldBlock` when the receiver takes nothing for too long; else what the kernel says.
pub fn send(socket: impl AsFd, page: &Page, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    send_with(socket, page, descriptor, SendFlags::NOSIGNAL)
}

/// Sends a page if there is room for it.
///
/// # Errors
/// `WouldBlock` without room; else what the kernel says.
pub fn try_send(
    socket: impl AsFd,
    page: &Page,
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    send_with(socket, page, descriptor, flags)
}

fn send_with(
    socket: impl AsFd,
    page: &Page,
    descriptor: Option<BorrowedFd<'_>>,
    flags: SendFlags,
) -> io::Result<()> {
    let Some(descriptor) = descriptor else {
        retry_on_intr(|| rustix::net::send(&socket, page, flags))?;
        return Ok(());
    };
    let descriptors = [descriptor];
    retry_on_intr(|| {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(&socket, &[IoSlice::new(page)], &mut ancillary, flags)
    })?;
    Ok(())
}

/// Waits for a page, and takes a descriptor that travels with it.
///
/// # Errors
/// `WouldBlock` when nothing comes for too long; else what the kernel says.
pub fn receive(socket: impl AsFd) -> io::Result<Arrived> {
    let mut page = Box::new([0; SIZE]);
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::TRUNC;
        recvmsg(
            &socket,
            &mut [IoSliceMut::new(&mut *page)],
            &mut ancillary,
            flags,
        )
    })?;
    let mut descriptor = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            for one in descriptors {
                descriptor.get_or_insert(one);
            }
        }
    }
    Ok(match received.bytes {
        0 => Arrived::End,
        SIZE => Arrived::Page(page, descriptor),
        _ => Arrived::Scrap,
    })
}

/// Takes a page if there is one; descriptors that travel with it are dropped by the kernel.
///
/// # Errors
/// `WouldBlock` when there is none; else what the kernel says.
pub fn try_receive(socket: impl AsFd) -> io::Result<Arrived> {
    let mut page = Box::new([0; SIZE]);
    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
    let (_, length) = retry_on_intr(|| rustix::net::recv(&socket, &mut page[..], flags))?;
    Ok(match length {
        0 => Arrived::End,
        SIZE => Arrived::Page(page, None),
        _ => Arrived::Scrap,
    })
}

/// Sends pages as one message and waits for room.
///
/// # Errors
/// As [`send`].
pub fn send_together(socket: impl AsFd, pages: &[u8]) -> io::Result<()> {
    retry_on_intr(|| rustix::net::send(&socket, pages, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Sends pages as one message if there is room for it.
///
/// # Errors
/// As [`try_send`].
pub fn try_send_together(socket: impl AsFd, pages: &[u8]) -> io::Result<()> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| rustix::net::send(&socket, pages, flags))?;
    Ok(())
}

/// Room for the longest message.
pub type Room = [u8; SIZE * MOST_TOGETHER];

/// Takes a message of one or more pages, if there is one; descriptors that travel with it are dropped by the kernel. None when the other
/// side is gone.
///
/// # Errors
/// `WouldBlock` when there is none; `InvalidData` when it is longer than any; else what the kernel says.
pub fn try_receive_together(socket: impl AsFd, room: &mut Room) -> io::Result<Option<&[u8]>> {
    receive_into(socket, room, RecvFlags::DONTWAIT)
}

/// Waits for a message of one or more pages. None when the other side is gone.
///
/// # Errors
/// `WouldBlock` when nothing comes for too long; `InvalidData` when it is longer than any; else what the kernel says.
pub fn receive_together(socket: impl AsFd, room: &mut Room) -> io::Result<Option<&[u8]>> {
    receive_into(socket, room, RecvFlags::empty())
}

fn receive_into(socket: impl AsFd, room: &mut Room, flags: RecvFlags) -> io::Result<Option<&[u8]>> {
    let flags = flags | RecvFlags::TRUNC;
    let (_, length) = retry_on_intr(|| rustix::net::recv(&socket, &mut room[..], flags))?;
    match room.get(..length) {
        Some([]) => Ok(None),
        Some(message) => Ok(Some(message)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
