//! Sockets that the broker makes and the gateway uses, as if the gateway had made them.
//!
//! Whose a socket is, firewalls ask of who opened it (`meta skuid` of nft(8), `owner` of iptables-extensions(8)), and the kernel
//! notes the thread's user for files then (setfsuid(2)). Handing it over changes nothing of that.

use std::io;

use super::Account;

/// Makes something that is to be this account's user's. Capabilities that are not about files stay as they are.
///
/// # Errors
/// When the thread may not take that user for what it makes (`PermissionDenied`); nothing was made then.
pub fn owned_by<T>(account: Account, make: impl FnOnce() -> T) -> io::Result<T> {
    let back = Back(take(account.uid));
    // The call tells no error; asking for nobody tells who it is (setfsuid(2), "RETURN VALUE").
    if take(u32::MAX) != account.uid {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let made = make();
    drop(back);
    Ok(made)
}

/// Gives the thread its own user back, also when what it makes fails.
struct Back(u32);

impl Drop for Back {
    fn drop(&mut self) {
        take(self.0);
    }
}

/// Answers with who it was before.
fn take(uid: u32) -> u32 {
    #[expect(unsafe_code, reason = "no safe wrapper knows this call")]
    // SAFETY: it takes a number, touches no memory and always returns.
    let before = unsafe { libc::setfsuid(uid) };
    before.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    /// Who owns what this thread makes now.
    fn owner() -> u32 {
        let made = tempfile::tempfile().expect("a file");
        made.metadata().expect("its owner").uid()
    }

    #[test]
    fn what_is_made_is_the_accounts_and_what_comes_after_is_not() {
        let own = owner();
        if own != 0 {
            // Only root can become others; that others can't is what is left to see.
            let other = Account {
                uid: own + 1,
                gid: 0,
            };
            let refused = owned_by(other, || ()).expect_err("somebody else");
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            return;
        }
        let nobody = Account {
            uid: 65534,
            gid: 65534,
        };
        assert_eq!(owned_by(nobody, owner).expect("root may"), 65534);
        assert_eq!(owner(), 0);
        let failed = std::panic::catch_unwind(|| owned_by(nobody, || panic!("in the middle")));
        assert!(failed.is_err());
        assert_eq!(owner(), 0, "it went on as somebody else");
    }
}
