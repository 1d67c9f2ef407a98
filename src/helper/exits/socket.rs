//! Asks a server at a Unix socket: connects, writes a line, reads a line, closes.

use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{Fault, LONGEST_LINE, left, one_line, unreachable};

pub(super) fn ask(path: &str, question: &[u8], until: Instant) -> Result<Vec<u8>, Fault> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::TimedOut,
        _ => unreachable(path, &error),
    };
    let mut socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    // It holds for connecting too, where a server takes none of those who wait (unix(7)).
    socket
        .set_write_timeout(Some(left(until)?))
        .map_err(failed)?;
    let address = SockAddr::unix(path).map_err(failed)?;
    socket.connect(&address).map_err(failed)?;
    let mut unsent = question;
    while !unsent.is_empty() {
        socket
            .set_write_timeout(Some(left(until)?))
            .map_err(failed)?;
        let sent = socket.write(unsent).map_err(failed)?;
        unsent = unsent.get(sent..).unwrap_or_default();
    }
    let mut answer = Vec::new();
    let mut buffer = [0; LONGEST_LINE];
    loop {
        socket
            .set_read_timeout(Some(left(until)?))
            .map_err(failed)?;
        let read = match socket.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if read == 0 || answer.contains(&b'\n') {
            return one_line(answer);
        }
        if answer.len() > LONGEST_LINE {
            return Err(Fault::TooLong);
        }
    }
}
