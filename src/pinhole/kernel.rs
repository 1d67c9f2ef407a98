//! The three calls that no safe wrapper offers.
//!
//! Invariant: nothing here keeps a pointer beyond the call. Nothing else belongs here.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use rustix::ioctl::{Getter, Opcode, ioctl};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::listener::Watched;

/// `SIOCOUTQ` (tcp(7)): the same number as `TIOCOUTQ` on the machines that Linux calls generic.
const SIOCOUTQ: Opcode = libc::TIOCOUTQ as Opcode;

/// Tells how many bytes of a TCP socket's send queue the peer has not acknowledged; an unacknowledged FIN counts as one.
pub(super) fn unacknowledged(socket: impl AsFd) -> io::Result<u64> {
    #[expect(
        unsafe_code,
        reason = "SIOCOUTQ writes one int, which is what the getter holds"
    )]
    // SAFETY: the opcode takes a pointer to an int and writes an int there (tcp(7), "Ioctls").
    let bytes: c_int = unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) }?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

/// Makes a later `bind` with port 0 choose the address alone; `connect` then chooses the port (ip(7), Linux 4.2).
pub(super) fn bind_address_only(socket: impl AsFd) -> io::Result<()> {
    set_int(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

/// Registers a listener's descriptor with the runtime of the calling task, for reading.
pub(super) fn watch(listener: Watched) -> io::Result<AsyncFd<Watched>> {
    #[expect(
        unsafe_code,
        reason = "AsyncFd wants its descriptor's validity promised"
    )]
    // SAFETY: `Watched` owns its descriptor, or a share of it, for as long as it lives, never replaces it, and
    // `as_raw_fd` always gives that one.
    let registered = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) };
    Ok(registered?)
}

fn set_int(socket: impl AsFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    let value: *const c_int = &raw const value;
    #[expect(unsafe_code, reason = "no safe wrapper knows these options")]
    // SAFETY: the pointer and the length describe one live int, which the kernel only reads during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            value.cast::<c_void>(),
            size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
