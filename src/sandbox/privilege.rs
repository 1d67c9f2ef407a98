//! Users, groups, capabilities and limits.
//!
//! All calls here change the calling thread alone, which is why there must be no other.

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{self, CapabilitySet, CapabilitySets};

use super::{Account, Error};

/// What the broker keeps, with the name that the log shows.
///
/// NET_ADMIN for nftables, connection tracking and NFLOG; NET_BIND_SERVICE for ports below 1024; SETUID, SETGID and SETPCAP
/// so that the processes that it starts can become others and empty their bounding set; KILL to end them. Not among them:
/// everything about files. As root it reads what root may read, and other users' files only as everybody may.
pub const KEPT_BY_BROKER: [(CapabilitySet, &str); 6] = [
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"),
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
    (CapabilitySet::SETPCAP, "CAP_SETPCAP"),
    (CapabilitySet::KILL, "CAP_KILL"),
];

/// What becoming somebody else without capabilities takes.
const TO_BECOME: [(CapabilitySet, &str); 3] = [
    (CapabilitySet::SETUID, "CAP_SETUID"),
    (CapabilitySet::SETGID, "CAP_SETGID"),
    (CapabilitySet::SETPCAP, "CAP_SETPCAP"),
];

/// Threads and processes of the gateway's user together; it can start no process anyway (seccomp).
const THREADS: u64 = 1024;

/// Makes sure that no thread is left out.
pub(super) fn only_one_thread() -> Result<(), Error> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|source| Error::Kernel {
        doing: "counting this process's threads in /proc/self/task",
        source,
    })?;
    match tasks.count() {
        1 => Ok(()),
        more => Err(Error::Threads(more)),
    }
}

/// A core dump would hold passwords.
pub(super) fn no_core_dumps() -> Result<(), Error> {
    limit(Resource::Core, 0).map_err(Error::kernel("forbidding core dumps"))
}

/// Keeps others of the same user from looking into this process (prctl(2), PR_SET_DUMPABLE).
pub(super) fn no_tracing() -> Result<(), Error> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Error::kernel("forbidding to be traced"))
}

/// Sets the gateway's limits; none is raised above what the process was started with.
pub(super) fn limit_gateway(descriptors: Option<u64>) -> Result<(), Error> {
    if let Some(descriptors) = descriptors {
        limit(Resource::Nofile, descriptors).map_err(Error::kernel("limiting descriptors"))?;
    }
    limit(Resource::Nproc, THREADS).map_err(Error::kernel("limiting threads"))?;
    limit(Resource::Memlock, 0).map_err(Error::kernel("limiting locked memory"))
}

fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let most = getrlimit(resource)
        .maximum
        .map_or(most, |hard| hard.min(most));
    let both = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(resource, both)
}

/// Drops all capabilities but the broker's, also from the bounding set, so that no child gets others back.
pub(super) fn keep_for_broker() -> Result<Vec<&'static str>, Error> {
    require(&KEPT_BY_BROKER)?;
    let kept = KEPT_BY_BROKER
        .iter()
        .fold(CapabilitySet::empty(), |set, (one, _)| set | *one);
    clear_ambient()?;
    shrink_bounding_set(kept)?;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    thread::set_capabilities(None, sets).map_err(Error::kernel("dropping capabilities"))?;
    no_new_privileges()?;
    if capabilities()? != sets {
        return Err(Error::Kept("a capability"));
    }
    Ok(KEPT_BY_BROKER.iter().map(|(_, name)| *name).collect())
}

/// Becomes a user with one group and no capability in any set, and makes sure of it.
pub(super) fn become_nobody_special(account: Account) -> Result<(), Error> {
    use rustix::process::{Gid, Uid};
    let account = account.not_root()?;
    require(&TO_BECOME)?;
    clear_ambient()?;
    shrink_bounding_set(CapabilitySet::empty())?;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    thread::set_thread_groups(&[]).map_err(Error::kernel("leaving all groups"))?;
    thread::set_thread_res_gid(gid, gid, gid).map_err(Error::kernel("taking the group"))?;
    thread::set_thread_res_uid(uid, uid, uid).map_err(Error::kernel("taking the user"))?;
    let nothing = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    thread::set_capabilities(None, nothing).map_err(Error::kernel("dropping capabilities"))?;
    no_new_privileges()?;
    let groups = rustix::process::getgroups().map_err(Error::kernel("reading the groups"))?;
    if capabilities()? != nothing {
        return Err(Error::Kept("a capability"));
    }
    if Account::current() != account || !groups.is_empty() {
        return Err(Error::Kept("a user or group"));
    }
    // The saved user must be gone too, or root were one call away (credentials(7)).
    if thread::set_thread_uid(Uid::ROOT).is_ok() || thread::set_thread_gid(Gid::ROOT).is_ok() {
        return Err(Error::Kept("the way back to root"));
    }
    Ok(())
}

fn require(needed: &[(CapabilitySet, &'static str)]) -> Result<(), Error> {
    let held = capabilities()?.effective;
    let missing: Vec<_> = needed
        .iter()
        .filter(|(one, _)| !held.contains(*one))
        .map(|(_, name)| *name)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Lacks { missing })
    }
}

fn capabilities() -> Result<CapabilitySets, Error> {
    thread::capabilities(None).map_err(Error::kernel("reading the capabilities"))
}

fn clear_ambient() -> Result<(), Error> {
    thread::clear_ambient_capability_set().map_err(Error::kernel("clearing ambient capabilities"))
}

fn no_new_privileges() -> Result<(), Error> {
    thread::set_no_new_privs(true).map_err(Error::kernel("setting no_new_privs"))
}

/// Drops from the bounding set whatever the kernel knows, also what this program has no name for.
fn shrink_bounding_set(kept: CapabilitySet) -> Result<(), Error> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(one) {
            continue;
        }
        match thread::capability_is_in_bounding_set(one) {
            Ok(false) => {}
            Ok(true) => thread::remove_capability_from_bounding_set(one)
                .map_err(Error::kernel("shrinking the bounding set"))?,
            // The first number that the kernel has no capability for (capabilities(7)).
            Err(Errno::INVAL) => return Ok(()),
            Err(errno) => return Err(Error::kernel("reading the bounding set")(errno)),
        }
    }
    Ok(())
}
