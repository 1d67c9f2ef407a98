//! Bans from the listeners' ports, as elements with a time.

use std::time::Duration;

use ipnet::IpNet;

use super::element::{Element, Joined};
use super::error::Error;
use super::hole::breadth;
use super::set::{Breadth, Family, Set};
use super::{Kernel, later};

impl Kernel {
    /// Bans a network (/32 or /24, /128 or /64) from the listeners' ports for a time; a second ban prolongs or shortens it.
    ///
    /// # Errors
    /// `Unsuitable` for other prefixes, `Full`, or the kernel's reason.
    pub fn ban(&mut self, network: IpNet, ttl: Duration) -> Result<(), Error> {
        let doing = "banning an address";
        let element = element_of(network.trunc())?;
        let add = || element.add(&self.layout.table, Some(ttl), None);
        let again = vec![element.delete(&self.layout.table), add()];
        let first = vec![add()];
        match self.channel.batch(doing, again).map_err(Error::by_kind) {
            Err(Error::Gone(_)) => self.channel.batch(doing, first).map_err(Error::by_kind)?,
            done => done?,
        }
        self.bans.insert(network.trunc(), later(ttl));
        Ok(())
    }

    /// Lifts a ban; tells whether there was one.
    ///
    /// # Errors
    /// `Unsuitable` for a prefix that can't be banned, or the kernel's reason.
    pub fn unban(&mut self, network: IpNet) -> Result<bool, Error> {
        let element = element_of(network.trunc())?;
        self.bans.remove(&network.trunc());
        let delete = vec![element.delete(&self.layout.table)];
        match self
            .channel
            .batch("lifting a ban", delete)
            .map_err(Error::by_kind)
        {
            Ok(()) => Ok(true),
            Err(Error::Gone(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lists the bans with what is left of their time.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn bans(&mut self) -> Result<Vec<(IpNet, Duration)>, Error> {
        let mut bans = Vec::new();
        for set in Family::BOTH.into_iter().flat_map(Set::of_bans) {
            for standing in self.list(set)? {
                bans.extend(banned(&standing.element).map(|net| (net, standing.remaining)));
            }
        }
        Ok(bans)
    }
}

/// The element that bans a network.
pub(super) fn element_of(network: IpNet) -> Result<Element, Error> {
    let breadth = breadth(network).ok_or(Error::Unsuitable(
        "what is banned is one address, a /24 or a /64",
    ))?;
    Ok(Element {
        set: Set::Banned(Family::of(network.addr()), breadth),
        key: Joined::default().address(network.network()),
        value: None,
    })
}

/// The network that a ban's element speaks of.
fn banned(element: &Element) -> Option<IpNet> {
    let Set::Banned(family, breadth) = element.set else {
        return None;
    };
    let address = element.key.first_address(family)?;
    let prefix = match (breadth, family) {
        (Breadth::One | Breadth::Any, _) => return Some(IpNet::from(address)),
        (Breadth::Near, Family::V4) => 24,
        (Breadth::Near, Family::V6) => 64,
    };
    IpNet::new(address, prefix).ok()
}
