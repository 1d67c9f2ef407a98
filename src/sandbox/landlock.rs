//! What may be reached by a name: files, ports to listen on, others' abstract sockets, others by signals (landlock(7)).
//!
//! Best effort: an older kernel enforces what it knows, one without landlock(7) nothing, and the answer tells. The filter of
//! system calls alone forbids files and foreign sockets to the gateway as well.

use std::fmt;
use std::ops::RangeInclusive;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope,
};

use super::Error;

/// The newest rules that are asked for.
const NEWEST: ABI = ABI::V9;

/// The version with rules for TCP ports (Linux 6.7).
const PORTS: i32 = 4;

/// The version with scopes for signals and abstract sockets (Linux 6.12).
const SCOPES: i32 = 6;

/// How far landlock(7) goes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// The kernel has none, or it is switched off.
    Absent,
    /// In force, up to this version of its rules.
    Version(i32),
}

impl fmt::Display for Landlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Landlock::Absent => f.write_str("no landlock (this kernel has none)"),
            Landlock::Version(version) => {
                write!(f, "landlock {version}")?;
                if version < PORTS {
                    f.write_str(" (files alone, no ports)")?;
                } else if version < SCOPES {
                    f.write_str(" (files and ports, no signals)")?;
                }
                Ok(())
            }
        }
    }
}

/// No file at all; of TCP ports only the windows can be bound, and port 0, from which the gateway dials.
///
/// Whom it may dial can't be said here: upstreams and active clients choose any port, and rules know ports alone.
pub(super) fn gateway(windows: &[RangeInclusive<u16>]) -> Result<Landlock, Error> {
    enforce(|| {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::BindTcp)?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        for port in std::iter::once(0).chain(windows.iter().cloned().flatten()) {
            ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
        }
        Ok(ruleset.restrict_self()?.landlock)
    })
}

/// Files are read, programs run and Unix sockets are connected to as ever, but nothing is written, and no TCP port is bound.
pub(super) fn helper() -> Result<Landlock, Error> {
    enforce(|| {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_write(NEWEST) & !AccessFs::ResolveUnix)?
            .handle_access(AccessNet::BindTcp)?
            .create()?;
        // What programs are started with in place of a terminal.
        if let Ok(null) = PathFd::new("/dev/null") {
            ruleset = ruleset.add_rule(PathBeneath::new(
                null,
                AccessFs::WriteFile | AccessFs::Truncate,
            ))?;
        }
        Ok(ruleset.restrict_self()?.landlock)
    })
}

fn enforce(
    restrict: impl FnOnce() -> Result<LandlockStatus, RulesetError>,
) -> Result<Landlock, Error> {
    match restrict() {
        Ok(LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => Ok(Landlock::Absent),
        Ok(LandlockStatus::Available { effective_abi, .. }) => {
            Ok(Landlock::Version(effective_abi as i32))
        }
        // A kernel that has it and refuses is not one without it.
        Err(error) => Err(Error::Kernel {
            doing: "restricting paths and ports (landlock)",
            source: std::io::Error::other(error),
        }),
    }
}
