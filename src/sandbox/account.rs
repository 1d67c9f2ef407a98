//! Who a process becomes: a user and its group, by number.

use std::fmt;

use super::Error;

/// Where users of this machine stand (passwd(5)).
const PASSWD: &str = "/etc/passwd";

/// A user with its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

impl Account {
    /// Finds a user by its name in passwd(5), or takes a number (`65534`), or two (`65534:65534`).
    ///
    /// # Errors
    /// When there is none of this name, or it is root.
    pub fn find(name: &str) -> Result<Account, Error> {
        let account = match numbers(name) {
            Some(account) => account,
            None => std::fs::read_to_string(PASSWD)
                .ok()
                .and_then(|text| in_passwd(&text, name))
                .ok_or_else(|| Error::NoSuchUser {
                    name: name.to_owned(),
                })?,
        };
        account.not_root()
    }

    /// Tells who this process is.
    pub fn current() -> Account {
        Account {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    /// Refuses root, as user and as group.
    pub(super) fn not_root(self) -> Result<Account, Error> {
        // (uid_t)-1 means "leave as it is" to setresuid(2).
        if [self.uid, self.gid]
            .iter()
            .any(|number| matches!(*number, 0 | u32::MAX))
        {
            return Err(Error::Root);
        }
        Ok(self)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {} gid {}", self.uid, self.gid)
    }
}

/// One number is that of the user and of its group.
fn numbers(text: &str) -> Option<Account> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    Some(Account {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
    })
}

/// Finds `name:password:uid:gid:...`.
fn in_passwd(text: &str, name: &str) -> Option<Account> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        Some(Account {
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "root:x:0:0:root:/root:/bin/sh\nbroken:x\nportcullis:x:990:991::/:/usr/sbin/nologin\n";

    #[test]
    fn a_user_is_found_by_name_or_number() {
        let portcullis = Account { uid: 990, gid: 991 };
        assert_eq!(in_passwd(TEXT, "portcullis"), Some(portcullis));
        assert_eq!(in_passwd(TEXT, "broken"), None);
        assert_eq!(in_passwd(TEXT, "port"), None);
        assert_eq!(Account::find("990:991").expect("numbers"), portcullis);
        assert_eq!(
            Account::find("990").expect("a number"),
            Account { uid: 990, gid: 990 }
        );
    }

    #[test]
    fn root_is_refused_and_a_missing_user_says_how_to_make_it() {
        for root in ["root", "0", "0:5", "5:0", "4294967295"] {
            assert!(matches!(Account::find(root), Err(Error::Root)), "{root}");
        }
        let error = Account::find("no-such-user-here").expect_err("none");
        assert!(error.to_string().contains("useradd --system"), "{error}");
    }
}
