//! Texts that travel as a descriptor: memory files that nobody can change any more (memfd_create(2)).

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

/// Everything that could change the file or the seals.
const ALL: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// Most bytes of such a text.
const LONGEST: u64 = 256 << 20;

/// Makes a sealed memory file of these bytes.
///
/// # Errors
/// What the kernel says.
pub fn seal(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"portcullis", flags)?);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, ALL)?;
    Ok(file.into())
}

/// Reads a sealed memory file from its beginning.
///
/// # Errors
/// `InvalidData` when it is not sealed or too long; else what the kernel says.
pub fn unseal(descriptor: OwnedFd) -> io::Result<Vec<u8>> {
    if !fcntl_get_seals(&descriptor)?.contains(ALL) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut file = File::from(descriptor);
    if file.metadata()?.len() > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_read_and_cannot_be_changed() {
        let sealed = seal(b"version: 1").expect("a memory file");
        let copy = sealed.try_clone().expect("a copy");
        let refused = rustix::io::pwrite(&copy, b"x", 0);
        assert_eq!(refused, Err(rustix::io::Errno::PERM));
        assert_eq!(unseal(sealed).expect("read"), b"version: 1");
    }

    #[test]
    fn what_is_not_sealed_is_not_read() {
        let open = memfd_create(c"open", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING);
        assert!(unseal(open.expect("a memory file")).is_err());
    }
}
