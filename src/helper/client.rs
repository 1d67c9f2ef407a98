//! The gateway's half: asks the helper, from any of its threads.

mod asking;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::sync::oneshot;

use super::message::{Answer, Asked, BUFFER, Outcome, Question, is_name};
use super::{Names, Resolving};
use asking::Askers;

/// How long an answer may be in coming: twice what resolv.conf(5) gives one name server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most questions that wait for their answer.
const MOST_WAITING: usize = 4096;

/// Asks the helper for the addresses of names.
pub struct Client {
    desk: Arc<Desk>,
    patience: Duration,
    /// Written to end the thread.
    end: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

struct Desk {
    line: OwnedFd,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Outcome>>>,
    asking: Mutex<Askers>,
}

impl Client {
    /// Takes an end of the helper's line, and starts the thread that hears its answers.
    ///
    /// # Errors
    /// When the kernel gives no thread or descriptor.
    pub fn new(line: OwnedFd) -> io::Result<Client> {
        let mut first = [0; 8];
        // A gateway before us may have left questions whose answers are still to come: its numbers were others.
        getrandom::fill(&mut first).map_err(io::Error::other)?;
        let desk = Arc::new(Desk {
            line,
            next: AtomicU64::new(u64::from_le_bytes(first)),
            waiting: Mutex::default(),
            asking: Mutex::default(),
        });
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let thread = std::thread::Builder::new()
            .name("names".to_owned())
            .spawn({
                let (desk, end) = (Arc::clone(&desk), Arc::clone(&end));
                move || desk.hear(&end)
            })?;
        Ok(Client {
            desk,
            patience: PATIENCE,
            end,
            thread: Some(thread),
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // An eventfd takes eight bytes; it can't be full after one of them.
        let _ = rustix::io::write(&*self.end, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // Its panic, if it had one, was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Names for Client {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let (waiting, answered) = self.desk.ask(name)?;
            let answer = tokio::time::timeout(self.patience, answered).await;
            drop(waiting);
            match answer {
                Ok(Ok(Outcome::Found(addresses))) => Ok(addresses),
                Ok(Ok(Outcome::Unknown)) => Err(io::Error::other("nobody knows this name")),
                Ok(Ok(Outcome::Busy)) => Err(io::Error::other("too many names are asked for")),
                Ok(Err(_)) => Err(io::Error::other("the helper is gone")),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        })
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Outcome>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a question; never waits for the helper to take it.
    fn ask(&self, name: &str) -> io::Result<(Waiting<'_>, oneshot::Receiver<Outcome>)> {
        if !is_name(name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.len() >= MOST_WAITING {
                return Err(io::Error::other("too many names are asked for"));
            }
            waiting.insert(id, answer);
        }
        let waiting = Waiting { desk: self, id };
        let question = Question {
            id,
            name: name.to_owned(),
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        retry_on_intr(|| send(&self.line, &question.write(), flags))?;
        Ok((waiting, answered))
    }

    /// Nobody answers any more: whoever waits is told.
    fn gone(&self) {
        self.lock().clear();
        self.askers().clear();
    }

    fn hear(&self, end: &OwnedFd) {
        let mut buffer = vec![0; BUFFER];
        loop {
            let mut polled = [
                PollFd::new(&self.line, PollFlags::IN),
                PollFd::new(end, PollFlags::IN),
            ];
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return self.gone(),
            }
            let [_, ending] = &polled;
            if !ending.revents().is_empty() {
                return;
            }
            match recv(&self.line, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return self.gone(),
                Ok((_, length)) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    if let Some(answer) = Answer::read(bytes)
                        && let Some(asked) = self.lock().remove(&answer.id)
                    {
                        // Whoever asked may have given up.
                        let _ = asked.send(answer.outcome);
                    } else if let Some(answer) = Asked::read(bytes)
                        && let Some(asked) = self.askers().remove(&answer.id)
                    {
                        let _ = asked.send(answer.outcome);
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return self.gone(),
            }
        }
    }
}

/// A place among those who wait, given back when dropped, also by those who give up.
struct Waiting<'a> {
    desk: &'a Desk,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::{Lines, Told, serve};
    use super::*;
    use std::net::IpAddr;

    /// How long anything that must happen may take.
    const LONG: Duration = Duration::from_secs(20);

    /// What becomes of a question, in time.
    async fn answered(answer: oneshot::Receiver<Outcome>) -> Outcome {
        let answer = tokio::time::timeout(LONG, answer).await;
        answer.expect("in time").expect("an answer")
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime")
    }

    /// A helper on a thread; it ends with the last client.
    fn helper(
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> (Client, OwnedFd, JoinHandle<io::Result<()>>) {
        let (asked, asking) = pair();
        let (telling, told) = pair();
        let serving = std::thread::spawn(move || serve(asked, Some(telling), Arc::new(lookup)));
        (Client::new(asking).expect("a client"), told, serving)
    }

    fn pair() -> (OwnedFd, OwnedFd) {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("a pair")
    }

    #[test]
    fn a_name_is_resolved_and_the_broker_knows_it_first() {
        let address: IpAddr = "192.0.2.7".parse().expect("an address");
        let (client, told, serving) = helper(move |name| match name {
            "ftp.example.com" => Ok(vec![address]),
            "empty.example.com" => Ok(Vec::new()),
            _ => Err(io::ErrorKind::NotFound.into()),
        });
        runtime().block_on(async {
            let found = client.resolve("ftp.example.com").await.expect("found");
            assert_eq!(found, [address]);
            // Without waiting: it was told before the answer came.
            let first = Told::receive(&told).expect("a message").expect("told");
            assert_eq!(first.name, "ftp.example.com");
            assert_eq!(first.addresses, [address]);
            for unknown in ["empty.example.com", "nobody.example.com", ""] {
                client.resolve(unknown).await.expect_err("nothing");
            }
            assert_eq!(Told::receive(&told).expect("nothing"), None);
        });
        assert!(client.desk.lock().is_empty());
        drop(client);
        assert!(serving.join().expect("no panic").is_ok());
    }

    #[test]
    fn however_many_ask_a_name_is_looked_up_once_and_all_are_answered() {
        let (release, held) = mpsc::channel::<()>();
        let (tell, looked_up) = mpsc::channel();
        let held = Mutex::new(held);
        let lookups = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lookups);
        let (client, _told, _serving) = helper(move |name| {
            seen.lock().expect("the list").push(name.to_owned());
            let _ = tell.send(name.to_owned());
            // Its end is the signal.
            let _ = held.lock().expect("the signal").recv();
            Ok(vec!["192.0.2.7".parse().expect("an address")])
        });
        runtime().block_on(async {
            let names = ["ftp.example.com", "ftp.example.com", "other.example.com"];
            let asked: Vec<_> = names
                .iter()
                .map(|name| client.desk.ask(name).expect("asked"))
                .collect();
            // Questions are taken in their order: when the third is looked up, the second has been taken.
            while looked_up.recv_timeout(LONG).expect("a lookup") != "other.example.com" {}
            drop(release);
            for (_place, answer) in asked {
                let outcome = answered(answer).await;
                assert!(matches!(outcome, Outcome::Found(_)), "{outcome:?}");
            }
        });
        assert_eq!(
            *lookups.lock().expect("the list"),
            ["ftp.example.com", "other.example.com"]
        );
    }

    #[test]
    fn a_helper_that_is_gone_or_silent_is_an_error_in_time() {
        let (asked, asking) = pair();
        let mut client = Client::new(asking).expect("a client");
        client.patience = Duration::from_millis(1);
        let error = runtime().block_on(client.resolve("ftp.example.com"));
        assert_eq!(error.expect_err("silent").kind(), io::ErrorKind::TimedOut);
        assert!(
            client.desk.lock().is_empty(),
            "whoever gives up waits no more"
        );
        drop(asked);
        runtime()
            .block_on(client.resolve("ftp.example.com"))
            .expect_err("gone");
    }

    #[test]
    fn too_many_names_at_once_are_refused_at_once() {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let (client, _told, _serving) = helper(move |_| {
            let _ = held.lock().expect("the signal").recv();
            Err(io::ErrorKind::NotFound.into())
        });
        runtime().block_on(async {
            let names: Vec<_> = (0..65).map(|number| format!("n{number}")).collect();
            let asked: Vec<_> = names.iter().map(|name| client.desk.ask(name)).collect();
            let (_places, mut answers): (Vec<_>, Vec<_>) =
                asked.into_iter().map(|asked| asked.expect("asked")).unzip();
            let last = answers.pop().expect("the 65th");
            assert_eq!(answered(last).await, Outcome::Busy);
            drop(release);
            for answer in answers {
                assert_eq!(answered(answer).await, Outcome::Unknown);
            }
        });
    }

    #[test]
    fn lines_outlive_a_helper_and_a_gateway() {
        let lines = Lines::new().expect("lines");
        let first = Client::new(lines.for_gateway().expect("an end")).expect("a client");
        drop(first);
        let second = lines.for_gateway().expect("an end");
        assert!(send(&second, b"x", SendFlags::DONTWAIT).is_ok());
        assert_eq!(Told::receive(lines.told()).expect("nothing"), None);
    }
}
