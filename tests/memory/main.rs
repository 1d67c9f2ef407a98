//! What an idle session costs: the heap of engine and driver together, counted by the allocator itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;
use std::time::Duration;

use portcullis::config::{Config, Flags, JournalFile};
use portcullis::gateway::{Gateway, Overrides};

/// Counts the bytes that live.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: usize, sign: isize) {
    LIVE.fetch_add(
        sign * isize::try_from(bytes).unwrap_or(isize::MAX),
        Ordering::Relaxed,
    );
}

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; all of it is handed to the system's"
)]
// SAFETY: every call goes to the system's allocator with what the caller vouched for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sessions that are measured together.
const SESSIONS: usize = 128;

/// How often they are measured.
const BATCHES: usize = 7;

/// Most bytes of heap that engine and driver may hold per idle session.
const MOST: usize = 1024;

#[test]
fn an_idle_session_costs_at_most_a_kibibyte_of_heap() {
    // While nothing else runs that could allocate.
    let runtime = runtime_part();
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    let upstream = server.local_addr().expect("bound");
    let serving = thread::spawn(move || serve(&server, BATCHES * SESSIONS));
    let flags = Flags {
        listen: vec!["127.0.0.1:0".to_owned()],
        upstream: vec![upstream.to_string()],
        ..Flags::default()
    };
    let mut config = Config::from_flags(&flags, None).expect("good flags").config;
    config.journal.file = JournalFile::Path("/dev/null".into());
    config.limits.sessions_per_address = u32::try_from(2 * BATCHES * SESSIONS).expect("small");
    config.limits.connects_per_address.count = 1_000_000;
    let overrides = Overrides {
        workers: NonZeroUsize::new(1),
        ..Overrides::default()
    };
    let running = Gateway::start(config, overrides).expect("a gateway");
    let (_, at) = running.addresses().first().cloned().expect("one listener");

    let mut clients: Vec<TcpStream> = Vec::with_capacity(BATCHES * SESSIONS);
    let mut costs: Vec<usize> = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let before = LIVE.load(Ordering::Relaxed);
        clients.extend((0..SESSIONS).map(|_| log_in(at)));
        let after = LIVE.load(Ordering::Relaxed);
        costs.push(usize::try_from(after - before).unwrap_or(0) / SESSIONS);
    }
    // The median: what grows once, for all sessions together, falls into one batch or another.
    costs.sort_unstable();
    let whole = costs.get(BATCHES / 2).copied().unwrap_or(0);
    println!(
        "{whole} bytes of heap per idle session, of them {runtime} of the runtime's for two sockets, a task and a timer"
    );
    let ours = whole.saturating_sub(runtime);
    assert!(ours > 0, "nothing was measured");
    assert!(
        ours <= MOST,
        "engine and driver hold {ours} bytes per idle session; at most {MOST} are allowed"
    );
    drop(clients);
    running.end();
    running.wait();
    serving.join().expect("the server ends with its clients");
}

/// Counts what the runtime keeps for a task with two registered sockets and a timer, whatever the task holds itself.
fn runtime_part() -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let mut pairs = Vec::with_capacity(2 * SESSIONS);
        for _ in 0..2 * SESSIONS {
            let (one, other) = std::os::unix::net::UnixStream::pair().expect("sockets");
            one.set_nonblocking(true).expect("a socket");
            other.set_nonblocking(true).expect("a socket");
            pairs.push((one, other));
        }
        let ready = std::rc::Rc::new(std::cell::Cell::new(0));
        let mut begin = 0;
        let mut tasks = Vec::with_capacity(2 * SESSIONS);
        for (number, (one, other)) in pairs.into_iter().enumerate() {
            if number == SESSIONS {
                // What the runtime grows once is there by then.
                while ready.get() < SESSIONS {
                    tokio::task::yield_now().await;
                }
                begin = LIVE.load(Ordering::Relaxed);
            }
            let ready = std::rc::Rc::clone(&ready);
            tasks.push(tokio::task::spawn_local(async move {
                let one = tokio::net::UnixStream::from_std(one).expect("registered");
                let other = tokio::net::UnixStream::from_std(other).expect("registered");
                let timer = Box::pin(tokio::time::sleep(Duration::from_secs(3600)));
                tokio::pin!(timer);
                std::future::poll_fn(|cx| {
                    let pending = timer.as_mut().poll(cx);
                    ready.set(ready.get() + 1);
                    pending
                })
                .await;
                drop((one, other));
            }));
        }
        while ready.get() < 2 * SESSIONS {
            tokio::task::yield_now().await;
        }
        let end = LIVE.load(Ordering::Relaxed);
        usize::try_from(end - begin).unwrap_or(0) / SESSIONS
    }))
}

/// Logs in and sends one more command, so that whatever a session keeps after use is counted; holds no heap itself.
fn log_in(at: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(at).expect("the gateway listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a socket");
    expect(&stream, "220");
    for (command, code) in [
        ("USER bob\r\n", "331"),
        ("PASS x\r\n", "230"),
        ("NOOP\r\n", "200"),
    ] {
        stream.write_all(command.as_bytes()).expect("sent");
        expect(&stream, code);
    }
    stream
}

fn expect(mut stream: &TcpStream, code: &str) {
    use std::io::Read;
    let mut line = [0_u8; 128];
    let mut length = 0;
    while !line[..length].ends_with(b"\r\n") {
        length += stream.read(&mut line[length..]).expect("a reply in time");
    }
    assert!(
        line.starts_with(code.as_bytes()),
        "{}",
        String::from_utf8_lossy(&line[..length])
    );
}

/// An upstream that answers these commands; its threads read with a small fixed buffer and hold no heap meanwhile.
fn serve(server: &TcpListener, sessions: usize) {
    let mut streams = Vec::with_capacity(sessions);
    while streams.len() < sessions {
        let (stream, _) = server.accept().expect("the gateway dials");
        // One at a time is enough: the clients log in one after the other.
        if greet(&stream).unwrap_or(false) {
            streams.push(stream);
        }
    }
}

/// Tells whether a whole login came: the gateway also looks at its upstream when it starts.
fn greet(mut stream: &TcpStream) -> std::io::Result<bool> {
    stream.write_all(b"220 ready\r\n")?;
    let mut lines = BufReader::with_capacity(128, stream.try_clone()?);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let reply: &[u8] = match line.split_whitespace().next() {
            Some("USER") => b"331 password\r\n",
            Some("PASS") => b"230 in\r\n",
            _ => b"200 ok\r\n",
        };
        stream.write_all(reply)?;
        if reply.starts_with(b"200") {
            return Ok(true);
        }
    }
}
