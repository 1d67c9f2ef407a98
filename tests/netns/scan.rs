//! A connect scan of many ports at once, without pause.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

/// How long an attempt may stay unanswered; it counts as silence then.
const SILENCE: Duration = Duration::from_millis(200);

/// How many attempts wait for an answer at most.
const AT_ONCE: usize = 500;

/// How many there are at most in the middle of a sweep over many ports.
const MOST_AT_ONCE: usize = 700;

/// The longest scan, whatever it is told.
const LONGEST: Duration = Duration::from_secs(180);

/// What a scanner saw.
#[derive(Debug, Default)]
pub struct Sight {
    pub attempts: usize,
    /// Answered with a reset.
    pub refused: usize,
    /// Not answered.
    pub silent: usize,
    /// Connected.
    pub opened: usize,
    /// Bytes that came on a connection.
    pub bytes: usize,
    /// Connections and bytes of each port that answered.
    pub ports: BTreeMap<u16, (usize, usize)>,
    /// Errors that tell nothing of the other side.
    pub strange: BTreeMap<String, usize>,
}

/// One attempt that is not over.
struct Attempt {
    port: u16,
    socket: Socket,
    begin: Instant,
    connected: bool,
}

/// Tries to connect to every address and port again and again, until `enough` says so of what was seen.
pub fn scan(
    addresses: &[IpAddr],
    ports: &RangeInclusive<u16>,
    enough: impl Fn(&Sight) -> bool,
) -> Sight {
    let (mut sight, mut waiting, begin) = (Sight::default(), Vec::new(), Instant::now());
    'scanning: while begin.elapsed() < LONGEST {
        for address in addresses {
            for port in ports.clone() {
                if enough(&sight) {
                    break 'scanning;
                }
                sight.attempts += 1;
                match attempt(SocketAddr::new(*address, port)) {
                    Ok(socket) => waiting.push(Attempt {
                        port,
                        socket,
                        begin: Instant::now(),
                        connected: false,
                    }),
                    Err(error) => sight.note(&error),
                }
                while waiting.len() >= MOST_AT_ONCE {
                    look(&mut waiting, &mut sight, Duration::from_millis(5));
                }
            }
        }
        let pause = if waiting.len() < AT_ONCE {
            Duration::ZERO
        } else {
            Duration::from_millis(5)
        };
        look(&mut waiting, &mut sight, pause);
    }
    let end = Instant::now() + SILENCE;
    while !waiting.is_empty() && Instant::now() < end + SILENCE {
        look(&mut waiting, &mut sight, Duration::from_millis(5));
    }
    sight
}

impl Sight {
    fn note(&mut self, error: &io::Error) {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => self.refused += 1,
            _ => *self.strange.entry(error.to_string()).or_default() += 1,
        }
    }
}

/// Begins a connection without waiting for it.
fn attempt(to: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&to.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        Ok(()) | Err(_) => Ok(socket),
    }
}

/// Looks after the attempts that wait, and drops those that are over.
fn look(waiting: &mut Vec<Attempt>, sight: &mut Sight, pause: Duration) {
    let mut polled: Vec<PollFd<'_>> = waiting
        .iter()
        .map(|attempt| {
            let flags = if attempt.connected {
                PollFlags::IN
            } else {
                PollFlags::OUT
            };
            PollFd::from_borrowed_fd(attempt.socket.as_fd(), flags)
        })
        .collect();
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: pause.subsec_nanos().into(),
    };
    // An interrupted poll is followed by another one.
    let _ = poll(&mut polled, Some(&pause));
    let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
    let mut ready = ready.into_iter();
    waiting.retain_mut(|attempt| attempt.goes_on(ready.next().unwrap_or_default(), sight));
}

impl Attempt {
    /// Takes note of what happened, and tells whether more may come.
    fn goes_on(&mut self, ready: bool, sight: &mut Sight) -> bool {
        if !ready {
            let over = self.begin.elapsed() > SILENCE;
            if over && !self.connected {
                sight.silent += 1;
            }
            return !over;
        }
        if !self.connected {
            return match self.socket.take_error() {
                Ok(None) => {
                    sight.opened += 1;
                    sight.ports.entry(self.port).or_default().0 += 1;
                    self.connected = true;
                    true
                }
                Ok(Some(error)) | Err(error) => {
                    sight.note(&error);
                    false
                }
            };
        }
        let mut bytes = [0; 4096];
        let got = self.socket.read(&mut bytes).unwrap_or_default();
        sight.bytes += got;
        sight.ports.entry(self.port).or_default().1 += got;
        got > 0
    }
}
