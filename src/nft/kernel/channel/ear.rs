//! A netlink socket that only listens.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};

use mnl::Socket;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use super::{ROOM, descriptor, errno_of, open, refused};
use crate::nft::kernel::error::Error;
use crate::nft::kernel::message::{Message, Saying, answers};

/// Where the kernel tells things by itself.
pub(in crate::nft::kernel) struct Ear {
    socket: Socket,
    incoming: Vec<u8>,
}

impl fmt::Debug for Ear {
    fn fmt(&self, form: &mut fmt::Formatter<'_>) -> fmt::Result {
        form.debug_struct("Ear").finish_non_exhaustive()
    }
}

impl Ear {
    /// Opens a socket that hears the multicast groups in `groups` (bit 0 is group 1), with room for a burst of `room` bytes.
    pub(in crate::nft::kernel) fn open(groups: u32, room: usize) -> Result<Ear, Error> {
        let socket = open(groups)?;
        let doing = "making room for what the kernel tells";
        set_socket_recv_buffer_size_force(descriptor(&socket), room)
            .map_err(|errno| refused(doing, errno, None))?;
        Ok(Ear {
            socket,
            incoming: vec![0; ROOM],
        })
    }

    /// Sends a message and waits for its acknowledgement; what was told meanwhile is lost, so this comes first.
    pub(in crate::nft::kernel) fn tell(
        &mut self,
        doing: &'static str,
        message: Message,
    ) -> Result<(), Error> {
        let mut message = message.acknowledged();
        let sent = self.socket.send(message.numbered(1));
        sent.map_err(|error| refused(doing, errno_of(&error), None))?;
        loop {
            let length = self.socket.recv_raw(&mut self.incoming);
            let length = length.map_err(|error| refused(doing, errno_of(&error), None))?;
            for answer in answers(self.incoming.get(..length).unwrap_or_default()) {
                match answer.saying() {
                    Saying::Acknowledged | Saying::Done if answer.sequence == 1 => return Ok(()),
                    Saying::Refused(code, words) if answer.sequence == 1 => {
                        return Err(refused(doing, Errno::from_raw_os_error(code), words));
                    }
                    Saying::Acknowledged | Saying::Done | Saying::Refused(..) | Saying::Told(_) => {
                    }
                }
            }
        }
    }

    /// From here on reads return at once.
    pub(in crate::nft::kernel) fn never_wait(&mut self) -> Result<(), Error> {
        rustix::io::ioctl_fionbio(descriptor(&self.socket), true)
            .map_err(|errno| refused("preparing a netlink socket", errno, None))
    }

    /// Hands over everything that was told so far: message types with their attributes. Tells whether something was lost.
    pub(in crate::nft::kernel) fn hear(
        &mut self,
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<bool, Error> {
        let mut lost = false;
        loop {
            match self.socket.recv_raw(&mut self.incoming) {
                Ok(length) => {
                    for answer in answers(self.incoming.get(..length).unwrap_or_default()) {
                        if let Saying::Told(attributes) = answer.saying() {
                            each(answer.kind, attributes);
                        }
                    }
                }
                Err(error) => match errno_of(&error) {
                    Errno::AGAIN => return Ok(lost),
                    Errno::INTR => {}
                    // netlink(7): the receive buffer was full.
                    Errno::NOBUFS => lost = true,
                    errno => return Err(refused("hearing what the kernel tells", errno, None)),
                },
            }
        }
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        descriptor(&self.socket)
    }
}
