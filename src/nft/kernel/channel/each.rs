//! Several questions in one message to the kernel, which answers each by itself.

use rustix::io::Errno;

use super::{Channel, errno_of, refused};
use crate::nft::kernel::error::Error;
use crate::nft::kernel::message::{Message, Saying, answers};

impl Channel {
    /// Asks several things with one message, each as [`Channel::ask`] does; answers in their order.
    pub(in crate::nft::kernel) fn ask_each<T>(
        &mut self,
        doing: &'static str,
        mut messages: Vec<Message>,
        mut read: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Vec<Option<T>>, Error> {
        let first = self.sequence.wrapping_add(1);
        self.outgoing.clear();
        for message in &mut messages {
            self.sequence = self.sequence.wrapping_add(1);
            self.outgoing
                .extend_from_slice(message.numbered(self.sequence));
        }
        let mut found: Vec<Option<Option<T>>> = messages.iter().map(|_| None).collect();
        let mut refusal = None;
        if !found.is_empty() {
            self.send(doing)?;
        }
        while found.iter().any(Option::is_none) {
            let length = self.socket.recv_raw(&mut self.incoming);
            let length = length.map_err(|error| refused(doing, errno_of(&error), None))?;
            for answer in answers(self.incoming.get(..length).unwrap_or_default()) {
                let place = usize::try_from(answer.sequence.wrapping_sub(first)).ok();
                // What was asked before and could not be read then is nobody's any more.
                let Some(one @ None) = place.and_then(|place| found.get_mut(place)) else {
                    continue;
                };
                *one = Some(match answer.saying() {
                    Saying::Told(attributes) => read(attributes),
                    Saying::Acknowledged | Saying::Done => None,
                    Saying::Refused(code, words) => {
                        let errno = Errno::from_raw_os_error(code);
                        if errno != Errno::NOENT {
                            refusal.get_or_insert_with(|| refused(doing, errno, words));
                        }
                        None
                    }
                });
            }
        }
        self.unread = false;
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(found.into_iter().map(Option::flatten).collect()),
        }
    }
}
