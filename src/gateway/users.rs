//! How many sessions each user has: `limits.sessions_per_user`.
//!
//! Invariant: a user is counted until the seat is dropped; names of users without a session are not kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The counts of all workers.
#[derive(Debug, Default)]
pub(super) struct Users {
    counts: Mutex<HashMap<Box<str>, u32>>,
    /// The most sessions of one user; 0 where there is no limit.
    most: AtomicU32,
}

/// Counts one session of a user until it is dropped.
#[derive(Debug)]
pub(super) struct UserSeat {
    users: Arc<Users>,
    name: Box<str>,
}

impl Users {
    pub(super) fn new(most: Option<NonZeroU32>) -> Arc<Users> {
        let users = Users::default();
        users.replace(most);
        Arc::new(users)
    }

    /// Puts another limit in force for logins from now on.
    pub(super) fn replace(&self, most: Option<NonZeroU32>) {
        let most = most.map_or(0, NonZeroU32::get);
        self.most.store(most, Ordering::Relaxed);
    }

    /// Counts one more session of a user, if there may be one.
    pub(super) fn seat(self: &Arc<Self>, user: &str) -> Option<UserSeat> {
        let most = self.most.load(Ordering::Relaxed);
        let name = one_name(user);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&name).copied().unwrap_or_default();
        if most != 0 && count >= most {
            return None;
        }
        counts.insert(name.clone(), count + 1);
        Some(UserSeat {
            users: Arc::clone(self),
            name,
        })
    }
}

impl Drop for UserSeat {
    fn drop(&mut self) {
        let counts = &self.users.counts;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = counts.entry(std::mem::take(&mut self.name)) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// Many servers take `BOB` for `bob`; `ftp` is `anonymous` (RFC 1635).
fn one_name(user: &str) -> Box<str> {
    match user.to_lowercase() {
        name if name == "ftp" => "anonymous".into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_sessions_and_no_more_until_one_ends() {
        let users = Users::new(NonZeroU32::new(2));
        let first = users.seat("bob").expect("a seat");
        let _second = users.seat("BOB").expect("a seat");
        assert!(users.seat("bob").is_none());
        assert!(users.seat("alice").is_some());
        drop(first);
        assert!(users.seat("bob").is_some());
        let _anonymous = (users.seat("ftp").expect("one"), users.seat("Anonymous"));
        assert!(users.seat("anonymous").is_none());
        users.replace(None);
        assert!(users.seat("anonymous").is_some());
    }

    #[test]
    fn names_of_users_that_are_gone_are_not_kept() {
        let users = Users::new(NonZeroU32::new(2));
        drop((users.seat("bob"), users.seat("bob")));
        let counts = users.counts.lock().expect("a lock");
        assert!(counts.is_empty());
    }
}
