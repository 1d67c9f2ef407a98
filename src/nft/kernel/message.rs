//! Netlink messages as bytes: written with nested attributes, and read back within their bounds.
//!
//! The layouts are linux/netlink.h, linux/netfilter/nfnetlink.h and netlink(7). Invariant: reading never goes beyond what
//! came and never panics, whatever the bytes are. This module must not know sockets.

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct nfgenmsg`, which every netfilter message begins with.
const GENERAL: usize = 4;
const NLA_HEADER: usize = 4;
/// NLA_F_NESTED and NLA_F_NET_BYTEORDER, the two flags in an attribute's type.
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

pub(super) const REQUEST: u16 = 0x1;
pub(super) const ACKNOWLEDGE: u16 = 0x4;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const CREATE: u16 = 0x400;
pub(super) const APPEND: u16 = 0x800;
pub(super) const DUMP: u16 = 0x300;
/// The flags of an answer: its dump was disturbed; it carries extended-acknowledgement attributes, behind the request
/// itself unless that is left out.
pub(super) const INTERRUPTED: u16 = 0x10;
const CAPPED: u16 = 0x100;
const EXTENDED: u16 = 0x200;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// The netfilter subsystems that are spoken to: the upper byte of a message's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subsystem {
    Conntrack = 1,
    Log = 4,
    Tables = 10,
}

impl Subsystem {
    /// The type of this subsystem's message of a kind.
    pub(super) const fn kind(self, kind: u8) -> u16 {
        (self as u16) << 8 | kind as u16
    }
}

/// Attributes, one behind the other, each padded to four bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(NLA_HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn be16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn be64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A string with its final NUL.
    pub(super) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes)) -> &mut Self {
        let begin = self.0.len();
        self.0.extend_from_slice(&[0; NLA_HEADER]);
        fill(self);
        let length = u16::try_from(self.0.len() - begin).unwrap_or(u16::MAX);
        if let Some(header) = self.0.get_mut(begin..begin + NLA_HEADER) {
            let (first, second) = header.split_at_mut(2);
            first.copy_from_slice(&length.to_ne_bytes());
            second.copy_from_slice(&(kind | NESTED).to_ne_bytes());
        }
        self
    }
}

/// One message that is complete but for its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub(super) fn new(
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        fill: impl FnOnce(&mut Attributes),
    ) -> Message {
        let mut attributes = Attributes(vec![0; HEADER + GENERAL]);
        fill(&mut attributes);
        let mut bytes = attributes.0;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut header = Vec::with_capacity(HEADER + GENERAL);
        header.extend_from_slice(&length.to_ne_bytes());
        header.extend_from_slice(&kind.to_ne_bytes());
        header.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        header.extend_from_slice(&[0; 8]); // sequence number and port id
        header.extend_from_slice(&[family, 0]); // nfgen_family, version
        header.extend_from_slice(&resource.to_be_bytes());
        if let Some(place) = bytes.get_mut(..header.len()) {
            place.copy_from_slice(&header);
        }
        Message { bytes }
    }

    /// The bytes, with their sequence number.
    pub(super) fn numbered(&mut self, sequence: u32) -> &[u8] {
        if let Some(place) = self.bytes.get_mut(8..12) {
            place.copy_from_slice(&sequence.to_ne_bytes());
        }
        &self.bytes
    }

    /// Asks the kernel to acknowledge it also when all is well.
    pub(super) fn acknowledged(mut self) -> Message {
        if let Some(low) = self.bytes.get_mut(6..8) {
            let flags = u16::from_ne_bytes([low[0], low[1]]) | ACKNOWLEDGE;
            low.copy_from_slice(&flags.to_ne_bytes());
        }
        self
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// One message of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    /// What follows the header.
    body: &'a [u8],
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Saying<'a> {
    /// All is well.
    Acknowledged,
    /// The end of a dump.
    Done,
    /// The kernel's errno, with its words.
    Refused(i32, Option<String>),
    /// Attributes, behind the netfilter header.
    Told(&'a [u8]),
}

impl<'a> Answer<'a> {
    pub(super) fn saying(&self) -> Saying<'a> {
        match self.kind {
            NLMSG_ERROR => match number(self.body, 0).map(u32::cast_signed) {
                Some(0) => Saying::Acknowledged,
                Some(code) => Saying::Refused(code.saturating_neg(), self.words()),
                None => Saying::Refused(0, None),
            },
            NLMSG_DONE => match number(self.body, 0).map(u32::cast_signed) {
                Some(code) if code < 0 => Saying::Refused(code.saturating_neg(), None),
                Some(_) | None => Saying::Done,
            },
            _ => Saying::Told(self.body.get(GENERAL..).unwrap_or_default()),
        }
    }

    /// The extended acknowledgement's text: behind the errno and the request's header (all of the request, if it is not capped).
    fn words(&self) -> Option<String> {
        if self.flags & EXTENDED == 0 {
            return None;
        }
        let request = if self.flags & CAPPED == 0 {
            usize::try_from(number(self.body, 4)?)
                .ok()?
                .checked_next_multiple_of(4)?
        } else {
            HEADER
        };
        let text = attribute(self.body.get(request.checked_add(4)?..)?, NLMSGERR_ATTR_MSG)?;
        Some(string(text))
    }
}

/// The messages in what one read gave.
pub(super) fn answers(mut bytes: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(number(bytes, 0)?).ok()?;
        let message = bytes.get(..length)?;
        let answer = Answer {
            kind: half(message, 4)?,
            flags: half(message, 6)?,
            sequence: number(message, 8)?,
            body: message.get(HEADER..)?,
        };
        bytes = bytes
            .get(length.checked_next_multiple_of(4)?..)
            .unwrap_or_default();
        Some(answer)
    })
}

/// The attributes in some bytes, by their types.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(half(bytes, 0)?);
        let kind = half(bytes, 2)? & TYPE_MASK;
        let value = bytes.get(NLA_HEADER..length)?;
        bytes = bytes
            .get(length.checked_next_multiple_of(4)?..)
            .unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of a type.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(found, _)| *found == kind)
        .map(|(_, value)| value)
}

/// The value at the end of a way through nested attributes.
pub(super) fn nested<'a>(bytes: &'a [u8], way: &[u16]) -> Option<&'a [u8]> {
    way.iter()
        .try_fold(bytes, |within, kind| attribute(within, *kind))
}

pub(super) fn be16(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|chunk| u16::from_be_bytes(*chunk))
}

pub(super) fn be32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|chunk| u32::from_be_bytes(*chunk))
}

pub(super) fn be64(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|chunk| u64::from_be_bytes(*chunk))
}

/// A string without its final NUL.
pub(super) fn string(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// A number in the machine's byte order, at a place.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|chunk| u32::from_ne_bytes(*chunk))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|chunk| u16::from_ne_bytes(*chunk))
}
