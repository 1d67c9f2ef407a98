//! Standard output that may be closed early (`portcullis schema | head`).

use std::io::{ErrorKind, Write as _};

/// Prints `text`; a reader that has seen enough is no failure.
pub(super) fn print(text: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
