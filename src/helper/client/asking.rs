//! Questions for those whom rules name.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendFlags, send};
use tokio::sync::oneshot;

use super::super::exits::{Asking, Exit, Exits, Fault};
use super::super::message::AskedFor;
use super::{Client, Desk, MOST_WAITING};

/// How much later than its time-out an answer may come, by way of the helper.
const LATE: Duration = Duration::from_millis(500);

/// What somebody whom a rule names has said.
pub(super) type Said = Result<Vec<u8>, Fault>;

/// Who waits for it, by the question's number.
pub(super) type Askers = HashMap<u64, oneshot::Sender<Said>>;

impl Exits for Client {
    fn ask(&self, exit: Exit, question: Vec<u8>, timeout: Duration) -> Asking<'_> {
        Box::pin(async move {
            let (_place, answered) = self.desk.want(exit, question, timeout)?;
            // The helper keeps the time; this is for one that is gone.
            match tokio::time::timeout(timeout + LATE, answered).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(Fault::Unreachable),
                Err(_) => Err(Fault::TimedOut),
            }
        })
    }
}

impl Desk {
    pub(super) fn askers(&self) -> MutexGuard<'_, Askers> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a question for somebody whom a rule names; never waits for the helper to take it.
    fn want(
        &self,
        exit: Exit,
        question: Vec<u8>,
        timeout: Duration,
    ) -> Result<(Asker<'_>, oneshot::Receiver<Said>), Fault> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let asked_for = AskedFor {
            id,
            timeout,
            exit,
            question,
        };
        let bytes = asked_for.write().ok_or(Fault::TooLong)?;
        let (answer, answered) = oneshot::channel();
        {
            let mut askers = self.askers();
            if askers.len() >= MOST_WAITING {
                return Err(Fault::Busy);
            }
            askers.insert(id, answer);
        }
        let place = Asker { desk: self, id };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match retry_on_intr(|| send(&self.line, &bytes, flags)) {
            Ok(_) => Ok((place, answered)),
            Err(Errno::AGAIN | Errno::NOBUFS) => Err(Fault::Busy),
            Err(_) => Err(Fault::Unreachable),
        }
    }
}

/// A place among those who ask somebody, given back when dropped, also by those who give up.
struct Asker<'a> {
    desk: &'a Desk,
    id: u64,
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        self.desk.askers().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::thread::JoinHandle;

    use super::super::super::message::Order;
    use super::super::super::{Lines, serve};
    use super::*;

    /// How long anything that must happen may take.
    const LONG: Duration = Duration::from_secs(20);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime")
    }

    /// A helper on a thread that asks, on the lines of a broker.
    fn asking(lines: &Lines) -> (Client, JoinHandle<io::Result<()>>) {
        let (asked, telling) = lines.for_helper().expect("ends");
        let none = |_: &str| Err(io::ErrorKind::NotFound.into());
        let serving = std::thread::spawn(move || serve(asked, Some(telling), Arc::new(none)));
        let client = Client::new(lines.for_gateway().expect("an end")).expect("a client");
        (client, serving)
    }

    fn program(text: &str) -> Exit {
        Exit::Program(["/bin/sh", "-c", text].map(str::to_owned).to_vec())
    }

    #[test]
    fn nobody_is_asked_whom_the_broker_has_not_listed() {
        let lines = Lines::new().expect("lines");
        let (client, _serving) = asking(&lines);
        let runtime = runtime();
        let ask = |exit| runtime.block_on(client.ask(exit, b"q\n".to_vec(), LONG));
        let (good, bad) = (program("echo yes"), program("echo no"));
        assert_eq!(ask(good.clone()), Err(Fault::NotPermitted));
        lines.permit(std::slice::from_ref(&good)).expect("told");
        assert_eq!(ask(good.clone()), Ok(b"yes".to_vec()));
        assert_eq!(ask(bad.clone()), Err(Fault::NotPermitted));
        // The same program with other words is another one.
        let mut longer = good.clone();
        if let Exit::Program(words) = &mut longer {
            words.push("more".to_owned());
        }
        assert_eq!(ask(longer), Err(Fault::NotPermitted));
        lines.permit(std::slice::from_ref(&bad)).expect("told");
        assert_eq!(ask(good), Err(Fault::NotPermitted));
        assert_eq!(ask(bad), Ok(b"no".to_vec()));
    }

    #[test]
    fn what_a_gateway_says_changes_nothing_of_the_list() {
        let lines = Lines::new().expect("lines");
        let (client, _serving) = asking(&lines);
        let bad = program("echo no");
        for order in [Order::Begin, Order::Permit(bad.clone()), Order::Commit] {
            let bytes = order.write().expect("bytes");
            send(&client.desk.line, &bytes, SendFlags::DONTWAIT).expect("sent");
        }
        let asked = runtime().block_on(client.ask(bad, b"q\n".to_vec(), LONG));
        assert_eq!(asked, Err(Fault::NotPermitted));
    }

    #[test]
    fn a_list_may_be_told_ever_so_often() {
        let lines = Lines::new().expect("lines");
        let (client, _serving) = asking(&lines);
        let good = program("echo yes");
        let many: Vec<Exit> = (0..60).map(|number| program(&number.to_string())).collect();
        let until = std::time::Instant::now() + LONG;
        for _ in 0..50 {
            // Whoever reads it may be a little behind.
            while lines.permit(&many).is_err() {
                assert!(std::time::Instant::now() < until, "nobody reads it");
                std::thread::yield_now();
            }
        }
        while lines.permit(std::slice::from_ref(&good)).is_err() {
            assert!(std::time::Instant::now() < until, "nobody reads it");
        }
        let asked = runtime().block_on(client.ask(good, b"q\n".to_vec(), LONG));
        assert_eq!(asked, Ok(b"yes".to_vec()));
    }
}
