//! Many at once: nobody fails, every byte is right.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::Builder;

use rustix::process::{Resource, getrlimit};

use crate::client::{Client, read_all};
use crate::gate::window;
use crate::scripted::setup;

/// How many transfers run at the same time.
const TRANSFERS: usize = 1_500;

/// Descriptors that one of them takes: all three parties are in this process.
const DESCRIPTORS: u64 = 12;

/// How many clients share an address: fewer than the window has ports.
const PER_ADDRESS: usize = 15;

/// Size of each file: below and above the size at which the way of carrying changes.
fn size(file: usize) -> usize {
    if file.is_multiple_of(10) {
        300_000
    } else {
        20_000
    }
}

/// Content that is right for one file alone.
fn content(file: usize) -> Vec<u8> {
    (0..size(file))
        .map(|at| (file.wrapping_mul(31) + at / 7) as u8)
        .collect()
}

/// Opens once for all.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Door {
    fn wait(&self) {
        let open = self.open.lock().expect("the door");
        drop(
            self.opened
                .wait_while(open, |open| !*open)
                .expect("the door"),
        );
    }

    fn open(&self) {
        *self.open.lock().expect("the door") = true;
        self.opened.notify_all();
    }
}

/// A server that stops in the middle of every download until the door opens.
fn depot(door: Arc<Door>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
    let at = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for control in listener.incoming().map_while(Result::ok) {
            let door = Arc::clone(&door);
            let session = Builder::new().stack_size(256 * 1024);
            session
                .spawn(move || drop(serve(control, &door)))
                .expect("a thread");
        }
    });
    at
}

fn serve(mut control: std::net::TcpStream, door: &Door) -> std::io::Result<()> {
    control.set_nodelay(true)?;
    control.write_all(b"220 The upstream's own words.\r\n")?;
    let mut awaits = None;
    for line in BufReader::new(control.try_clone()?).lines() {
        let line = line?;
        let (verb, name) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "USER" => control.write_all(b"331 Password?\r\n")?,
            "PASS" => control.write_all(b"230 Welcome.\r\n")?,
            "PASV" => {
                let listener = TcpListener::bind(("127.0.0.1", 0))?;
                let port = listener.local_addr()?.port();
                control.write_all(
                    format!("227 ok (127,0,0,1,{},{})\r\n", port >> 8, port & 255).as_bytes(),
                )?;
                awaits = Some(listener);
            }
            "RETR" => {
                let (mut data, _) = awaits.take().expect("PASV before").accept()?;
                control.write_all(b"150 Half of it now.\r\n")?;
                let content = content(name.parse().expect("a number"));
                let (first, second) = content.split_at(content.len() / 2);
                data.write_all(first)?;
                door.wait();
                data.write_all(second)?;
                drop(data);
                control.write_all(b"226 All of it.\r\n")?;
            }
            _ => control.write_all(b"500 What?\r\n")?,
        }
    }
    Ok(())
}

#[test]
fn fifteen_hundred_transfers_at_once_all_arrive_whole() {
    // The gateway raises the limit of open files to the highest that is allowed.
    let allowed = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let needed = TRANSFERS as u64 * DESCRIPTORS;
    assert!(
        needed <= allowed,
        "{needed} open files are needed and {allowed} allowed: ulimit -n"
    );
    let door = Arc::new(Door::default());
    let mut setup = setup(depot(Arc::clone(&door)), 40);
    setup.window = window(16);
    let gate = setup
        .more("limits: {connects_per_address: 100000/s}")
        .start();
    let mut running = Vec::new();
    for file in 0..TRANSFERS {
        let address = u8::try_from(1 + file / PER_ADDRESS).expect("few addresses");
        let mut client =
            Client::connect_from(IpAddr::from([127, 0, 2, address]), gate.at).logged_in();
        let at = client.passive();
        let mut data = client.dial(at);
        client.asks(&format!("RETR {file}"), "150");
        let mut first = vec![0; size(file) / 2];
        data.read_exact(&mut first).expect("the first half");
        running.push((client, data, first));
    }
    // All of them run now.
    door.open();
    for (file, (mut client, data, mut whole)) in running.into_iter().enumerate() {
        whole.extend(read_all(data));
        assert!(whole == content(file), "file {file}");
        client.hears("226");
    }
}
