//! The fields of a page, written and read in their order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use ipnet::IpNet;

use super::{Page, SIZE};

/// Says that there is no address.
const NO_ADDRESS: u8 = 0;
const V4: u8 = 4;
const V6: u8 = 6;

/// Writes a page.
pub(super) struct Pen {
    page: Page,
    at: usize,
}

impl Pen {
    pub(super) fn new() -> Pen {
        Pen {
            page: [0; SIZE],
            at: 0,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        debug_assert!(end <= SIZE, "a page is too small for its message");
        if let Some(place) = self.page.get_mut(self.at..end) {
            place.copy_from_slice(bytes);
        }
        self.at = end;
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    /// Whole milliseconds.
    pub(super) fn duration(&mut self, value: Duration) {
        self.u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX));
    }

    pub(super) fn address(&mut self, value: Option<SocketAddr>) {
        let scope = match value {
            Some(SocketAddr::V6(address)) => address.scope_id(),
            Some(SocketAddr::V4(_)) | None => 0,
        };
        self.place(
            value.map(|address| address.ip()),
            0,
            value.map_or(0, |address| address.port()),
            scope,
        );
    }

    pub(super) fn network(&mut self, value: IpNet) {
        self.place(Some(value.addr()), value.prefix_len(), 0, 0);
    }

    /// Family, prefix length, port, scope, address: 24 bytes.
    fn place(&mut self, address: Option<IpAddr>, prefix: u8, port: u16, scope: u32) {
        let mut octets = [0; 16];
        let family = match address {
            None => NO_ADDRESS,
            Some(IpAddr::V4(address)) => {
                let [a, b, c, d] = address.octets();
                octets = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                V4
            }
            Some(IpAddr::V6(address)) => {
                octets = address.octets();
                V6
            }
        };
        self.u8(family);
        self.u8(prefix);
        self.u16(port);
        self.u32(scope);
        self.put(&octets);
    }

    pub(super) fn finish(self) -> Page {
        self.page
    }
}

/// Reads a page.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(page: &'a Page) -> Reader<'a> {
        Reader { rest: page }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn duration(&mut self) -> Option<Duration> {
        self.u64().map(Duration::from_millis)
    }

    /// An address that must be there.
    pub(super) fn address(&mut self) -> Option<SocketAddr> {
        self.optional_address()?
    }

    /// The outer option says whether the field is right, the inner one whether there is an address.
    pub(super) fn optional_address(&mut self) -> Option<Option<SocketAddr>> {
        let (address, prefix, port, scope) = self.place()?;
        if prefix != 0 {
            return None;
        }
        match address {
            None => (port == 0).then_some(None),
            Some(IpAddr::V4(address)) => Some(Some((address, port).into())),
            Some(IpAddr::V6(address)) => {
                Some(Some(SocketAddrV6::new(address, port, 0, scope).into()))
            }
        }
    }

    pub(super) fn network(&mut self) -> Option<IpNet> {
        let (address, prefix, port, scope) = self.place()?;
        if port != 0 || scope != 0 {
            return None;
        }
        IpNet::new(address?, prefix).ok()
    }

    fn place(&mut self) -> Option<(Option<IpAddr>, u8, u16, u32)> {
        let family = self.u8()?;
        let prefix = self.u8()?;
        let port = self.u16()?;
        let scope = self.u32()?;
        let octets: [u8; 16] = self.take()?;
        let [a, b, c, d, rest @ ..] = octets;
        let address = match family {
            NO_ADDRESS if octets == [0; 16] && scope == 0 => None,
            V4 if rest == [0; 12] && scope == 0 => Some(Ipv4Addr::new(a, b, c, d).into()),
            V6 => Some(Ipv6Addr::from(octets).into()),
            _ => return None,
        };
        Some((address, prefix, port, scope))
    }

    /// Makes sure that nothing is left but zeros.
    pub(super) fn finish(self) -> Option<()> {
        self.rest.iter().all(|byte| *byte == 0).then_some(())
    }
}
