//! The FTP server behind every gateway: light, so that the gateway is what a measurement shows.
//!
//! Anybody may log in. A file's name is its content (see [`crate::pattern`]); an upload is compared byte by byte.

mod data;
mod session;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;

use self::data::PassivePorts;
use crate::pattern;

/// Threads that carry sessions; the machines that we measure on have two cores.
const THREADS: usize = 2;

/// What the backend is told on its command line.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Address and port of the control connection.
    #[arg(long)]
    listen: SocketAddr,
    /// Address told in replies to PASV, when it is not our own.
    #[arg(long)]
    announce: Option<IpAddr>,
    /// Ports for passive data connections, `FIRST-LAST`; without it the kernel chooses.
    #[arg(long, value_parser = port_range)]
    ports: Option<RangeInclusive<u16>>,
}

/// What all sessions share.
struct Shared {
    announce: Option<IpAddr>,
    ports: PassivePorts,
    reel: OwnedFd,
}

/// Serves until killed; writes one line to standard output once clients may come.
pub fn serve(options: Options) -> anyhow::Result<()> {
    let shared = Arc::new(Shared {
        announce: options.announce,
        ports: PassivePorts::new(options.ports),
        reel: pattern::reel().context("cannot make the file in memory")?,
    });
    let socket = Socket::new(
        Domain::for_address(options.listen),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket
        .bind(&options.listen.into())
        .with_context(|| format!("cannot listen at {}", options.listen))?;
    socket.listen(4096)?;
    let listener = std::net::TcpListener::from(socket);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| start_thread(Arc::clone(&shared)))
        .collect();
    println!("ready");
    std::io::stdout().flush()?;
    for turn in 0.. {
        let (stream, _) = listener.accept().context("cannot accept")?;
        threads[turn % THREADS]
            .send(stream)
            .context("a thread ended")?;
    }
    Ok(())
}

/// Starts a thread that serves the connections it is sent, so that few sessions spread evenly over the cores.
fn start_thread(shared: Arc<Shared>) -> mpsc::UnboundedSender<TcpStream> {
    let (sender, mut arriving) = mpsc::unbounded_channel();
    std::thread::spawn(move || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            while let Some(stream) = arriving.recv().await {
                let shared = Arc::clone(&shared);
                // A session that ends in an error has a client that knows: the load checks every reply.
                tokio::spawn(async move { session::run(stream, &shared).await.ok() });
            }
        });
        Ok(())
    });
    sender
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').ok_or("want FIRST-LAST")?;
    let parse = |port: &str| port.parse::<u16>().map_err(|e| format!("{port}: {e}"));
    Ok(parse(first)?..=parse(last)?)
}
