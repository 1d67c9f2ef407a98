//! The table put into the kernel: at start, and when somebody removed it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::channel::Channel;
use super::conntrack::{self, Flow};
use super::element::standing;
use super::error::Error;
use super::hole::Hole;
use super::inspect::{self, Found};
use super::knock::Knocks;
use super::{Kernel, Layout, ban, log, table, watch};

impl Kernel {
    /// Installs the table, or adopts an identical one that is left; elements that are in it stay until [`Kernel::sweep`].
    /// A table of ours with another layout is replaced, in one step; connections that run go on.
    ///
    /// # Errors
    /// No permission, a missing kernel feature, or a table of our name that is not ours; see [`Error::exit_code`].
    pub fn install(layout: &Layout) -> Result<Kernel, Error> {
        if layout.mark.count_ones() != 1 {
            return Err(Error::Unsuitable("the ct mark of pinholes is one bit"));
        }
        if layout.table.is_empty() || layout.table.len() > LONGEST_NAME || layout.size == 0 {
            return Err(Error::Unsuitable(
                "the firewall's table needs a name of 1 to 100 bytes, and sets of at least one element",
            ));
        }
        let mut channel = Channel::open().map_err(Error::at_start)?;
        let found = inspect::table(&mut channel, layout).map_err(Error::at_start)?;
        if found == Found::Foreign {
            return Err(Error::Foreign {
                table: layout.table.clone(),
                why: "it does not carry our comment",
            });
        }
        // The groups before the table: another broker that is at work is noticed before anything of its is touched.
        let used = log::listen(layout.group).map_err(Error::at_start)?;
        let knocked = log::listen(layout.group.saturating_add(1)).map_err(Error::at_start)?;
        let identical = found != Found::Nothing
            && inspect::whole(&mut channel, layout).map_err(Error::at_start)?;
        if !identical {
            make(&mut channel, layout, found != Found::Nothing).map_err(Error::at_start)?;
        }
        conntrack::usage(&mut channel, NOBODY).map_err(Error::at_start)?;
        let changed = watch::listen().map_err(Error::at_start)?;
        let prolongs = prolongs(&mut channel, layout).map_err(Error::at_start)?;
        let mut kernel = Kernel {
            layout: layout.clone(),
            channel,
            used,
            knocked,
            changed,
            prolongs,
            holes: HashMap::new(),
            awaited: HashMap::new(),
            fading: VecDeque::new(),
            passing: VecDeque::new(),
            dying: VecDeque::new(),
            bans: BTreeMap::new(),
            knocks: Knocks::default(),
            pending: Vec::new(),
            inspected: Instant::now(),
            busy_until: None,
        };
        let now = Instant::now();
        let bans = kernel.bans()?.into_iter();
        kernel.bans = bans.map(|(net, left)| (net, now + left)).collect();
        Ok(kernel)
    }

    /// Builds the table anew with everything that stands: holes with what is left of their time, and bans.
    ///
    /// # Errors
    /// As [`Kernel::install`].
    pub fn restore(&mut self) -> Result<(), Error> {
        let there = match inspect::table(&mut self.channel, &self.layout)? {
            Found::Nothing => false,
            Found::Ours(_) => true,
            Found::Foreign => {
                return Err(Error::Foreign {
                    table: self.layout.table.clone(),
                    why: "it took the place of ours",
                });
            }
        };
        make(&mut self.channel, &self.layout, there).map_err(Error::at_start)?;
        // The announcements of what was just done.
        watch::hear(&mut self.changed, &self.layout.table)?;
        let now = Instant::now();
        let left = |until: Instant| {
            until
                .checked_duration_since(now)
                .filter(|left| *left > SHORTEST)
        };
        let unused = |hole: &&Hole| hole.flow.is_none();
        let holes = self.holes.values().filter(unused);
        let mut batches: Vec<_> = holes
            .filter_map(|hole| Some(self.additions(hole, left(hole.until)?)))
            .collect();
        self.bans.retain(|_, until| left(*until).is_some());
        for (network, until) in &self.bans {
            let element = ban::element_of(*network)?;
            batches.push(vec![element.add(&self.layout.table, left(*until), None)]);
        }
        for messages in batches {
            self.channel
                .batch("restoring what stood", messages)
                .map_err(Error::by_kind)?;
        }
        Ok(())
    }
}

/// More than NFT_TABLE_MAXNAMELEN would allow, but nobody needs it, and messages stay small.
const LONGEST_NAME: usize = 100;

/// Less than this is not worth restoring, and may round to no time at all.
const SHORTEST: Duration = Duration::from_millis(10);

/// No connection is from nobody to nobody: asking for it shows whether connection tracking answers.
const NOBODY: Flow = Flow {
    from: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    to: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
};

fn make(channel: &mut Channel, layout: &Layout, there: bool) -> Result<(), Error> {
    let (batch, last) = table::installation(layout, there)?;
    channel.finished_batch("installing the firewall's table", &batch, last)
}

/// Tries with a ban of nobody whether the kernel gives an element a new time where it is (6.12 and newer do).
fn prolongs(channel: &mut Channel, layout: &Layout) -> Result<bool, Error> {
    let doing = "trying the firewall's table";
    let (short, long) = (Duration::from_secs(600), Duration::from_secs(6000));
    let element = ban::element_of(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED).into())?;
    let left_over = channel.batch(doing, vec![element.delete(&layout.table)]);
    if let Err(error) = left_over.map_err(Error::by_kind)
        && !matches!(error, Error::Gone(_))
    {
        return Err(error);
    }
    let first = element.add(&layout.table, Some(short), None);
    channel.batch(doing, vec![first])?;
    channel.batch(doing, vec![element.prolong(&layout.table, long, 0)])?;
    let found = channel.ask(doing, element.get(&layout.table), |answer| {
        let mut found = Vec::new();
        standing(element.set, answer, &mut found);
        found.pop()
    })?;
    channel.batch(doing, vec![element.delete(&layout.table)])?;
    let found: Option<super::Standing> = found;
    Ok(found
        .ok_or_else(|| super::refused(doing, Errno::NOENT, None))?
        .remaining
        > short)
}
