//! What `portcullis demo` does, from start to end.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::client::DataMode;
use super::narration::{Narrator, News, PinholeStory, grouped};
use super::server::{DemoServer, PATTERN_NAME};
use super::tour::{TourFault, Transfer, make_transfers};

/// How long the journal may take to tell that a transfer's pinhole is shut.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(20);
/// How long the gateway may take to end.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What the demo is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct DemoOptions {
    /// Where the gateway shall listen; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Whether to stay up for a person at a terminal, until Ctrl-C, rather than make the transfers.
    pub interactive: bool,
}

/// A gateway that the caller started for the demo.
pub struct RunningGateway {
    /// Where clients arrive.
    pub address: SocketAddr,
    /// The journal, one JSON object a line.
    pub journal: UnboundedReceiver<String>,
    /// The file with the throw-away certificate, where clients are served over TLS too.
    pub certificate: Option<PathBuf>,
    /// Asks the gateway to end, and is done once it has; polled when the demo is over.
    pub stop: Pin<Box<dyn Future<Output = ()>>>,
}

impl fmt::Debug for RunningGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningGateway")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What a caller's start of the gateway fails with.
pub type StartError = Box<dyn Error + Send + Sync>;

/// Why the demo did not end well; each is one line for a person.
#[derive(Debug, Error)]
pub enum DemoError {
    /// Something else has the port.
    #[error(
        "{0} is taken by another program; choose another port: portcullis demo --listen {ip}:0",
        ip = bracketed(.0.ip())
    )]
    AddressTaken(SocketAddr),
    /// The address can't be listened at for another reason.
    #[error("can't listen at {address}: {error}")]
    Unlistenable {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// The demo's own FTP server did not start.
    #[error("the demo's FTP server did not start: {0}")]
    Server(#[source] io::Error),
    /// The gateway did not start.
    #[error("the gateway did not start: {0}")]
    Gateway(StartError),
    /// The gateway ended while it was needed.
    #[error("the gateway ended by itself")]
    GatewayGone,
    /// A transfer went wrong.
    #[error("{0}")]
    Transfer(#[from] TourFault),
    /// A transfer came through, but the journal does not tell of its pinhole.
    #[error("the {action} with {mode} came through, but the journal has no pinhole for it", action = .0.action, mode = .0.mode)]
    NoPinhole(Transfer),
    /// The gateway did not end when asked.
    #[error("the gateway did not end within 10 seconds")]
    Endless,
    /// What the demo says can't be written.
    #[error("can't write the output: {0}")]
    Output(#[from] io::Error),
}

/// Runs the demo: its FTP server, the gateway in front (started by `start_gateway(upstream, listen)`), then the transfers,
/// or a person's own until Ctrl-C.
///
/// # Errors
///
/// See [`DemoError`]; all that ran is stopped then.
pub async fn run<S>(
    options: DemoOptions,
    out: &mut dyn Write,
    start_gateway: S,
) -> Result<(), DemoError>
where
    S: AsyncFnOnce(SocketAddr, SocketAddr) -> Result<RunningGateway, StartError>,
{
    let listen = options.listen;
    // Tried first, so that the usual trouble is named whatever the gateway would make of it.
    match TcpListener::bind(listen).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            return Err(DemoError::AddressTaken(listen));
        }
        Err(error) => {
            return Err(DemoError::Unlistenable {
                address: listen,
                error,
            });
        }
    }
    let loopback: IpAddr = if listen.is_ipv4() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        Ipv6Addr::LOCALHOST.into()
    };
    let server = DemoServer::start(SocketAddr::new(loopback, 0))
        .await
        .map_err(DemoError::Server)?;
    let mut gateway = start_gateway(server.address(), listen)
        .await
        .map_err(DemoError::Gateway)?;
    let mut reach = gateway.address;
    if reach.ip().is_unspecified() {
        reach.set_ip(loopback);
    }
    writeln!(
        out,
        "An FTP server  {}  (files in memory)",
        server.address()
    )?;
    writeln!(out, "The gateway    {reach}  (in front of it)\n")?;
    if let Some(file) = &gateway.certificate {
        let file = file.display();
        writeln!(
            out,
            "Its certificate, for this demo alone, is in {file}; so over TLS:"
        )?;
        writeln!(out, "  curl --ssl-reqd --cacert {file} ftp://{reach}/\n")?;
    }
    let shown = if options.interactive {
        let ended = async {
            // Without a handler for Ctrl-C the kernel ends us, which is what was asked for as well.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        stay(out, reach, &mut gateway.journal, ended).await
    } else {
        make_and_tell(out, reach, &mut gateway.journal).await
    };
    let stopped = timeout(STOP_PATIENCE, gateway.stop).await;
    shown?;
    stopped.map_err(|_| DemoError::Endless)
}

/// Says what to type, then prints each pinhole as it opens and shuts.
pub(super) async fn stay(
    out: &mut dyn Write,
    reach: SocketAddr,
    journal: &mut UnboundedReceiver<String>,
    ended: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    writeln!(out, "In another terminal, type:")?;
    for (command, what) in [
        (format!("curl ftp://{reach}/"), "a listing"),
        (
            format!("curl ftp://{reach}/{PATTERN_NAME} -o /dev/null"),
            "a download",
        ),
        (
            format!("curl -T FILE ftp://{reach}/"),
            "an upload of a FILE of yours",
        ),
        (
            format!("curl --ftp-port - ftp://{reach}/"),
            "active: the server dials back",
        ),
        (
            format!("lftp ftp://{reach}"),
            "a session: ls, get, put, mirror",
        ),
    ] {
        writeln!(out, "  {command:<54} # {what}")?;
    }
    writeln!(
        out,
        "\nEach pinhole is shown here as it opens and shuts. Ctrl-C ends the demo.\n"
    )?;
    out.flush()?;
    let mut narrator = Narrator::default();
    tokio::pin!(ended);
    loop {
        let line = tokio::select! {
            // What happened already is told before the end.
            biased;
            line = journal.recv() => line.ok_or(DemoError::GatewayGone)?,
            () = &mut ended => {
                writeln!(out, "\nThe demo is over.")?;
                return Ok(());
            }
        };
        if let Some(news) = narrator.hear(&line) {
            writeln!(out, "{news}")?;
            out.flush()?;
        }
    }
}

/// Makes the transfers, and tells of each with its pinhole.
pub(super) async fn make_and_tell(
    out: &mut dyn Write,
    reach: SocketAddr,
    journal: &mut UnboundedReceiver<String>,
) -> Result<(), DemoError> {
    let mut narrator = Narrator::default();
    let mut pinholes = 0_u32;
    let skipped = DataMode::ALL
        .into_iter()
        .filter(|mode| !mode.serves(reach.ip()));
    for mode in skipped {
        writeln!(out, "{mode} is left out: it knows only IPv4.")?;
    }
    let made = make_transfers(reach, async |transfer: &Transfer| {
        let story = shut_pinhole(&mut narrator, journal, transfer).await?;
        pinholes += 1;
        let Transfer {
            action,
            mode,
            name,
            bytes,
        } = transfer;
        let bytes = grouped(*bytes as u64);
        writeln!(out, "{mode} {action:<8} {name}: {bytes} bytes, all right")?;
        for line in story.to_string().lines() {
            writeln!(out, "     {line}")?;
        }
        out.flush()?;
        Ok::<(), DemoError>(())
    })
    .await?;
    let total: usize = made.iter().map(|transfer| transfer.bytes).sum();
    writeln!(
        out,
        "\n{} transfers, {} bytes, {pinholes} pinholes opened and shut; every byte compared.",
        made.len(),
        grouped(total as u64)
    )?;
    out.flush()?;
    Ok(())
}

/// Reads the journal until it tells that a pinhole is shut; transfers are made one by one, so it is this one's.
async fn shut_pinhole(
    narrator: &mut Narrator,
    journal: &mut UnboundedReceiver<String>,
    transfer: &Transfer,
) -> Result<PinholeStory, DemoError> {
    let reading = async {
        loop {
            let line = journal.recv().await.ok_or(DemoError::GatewayGone)?;
            if let Some(News::Shut(story)) = narrator.hear(&line) {
                return Ok(story);
            }
        }
    };
    timeout(JOURNAL_PATIENCE, reading)
        .await
        .map_err(|_| DemoError::NoPinhole(transfer.clone()))?
}

/// An address as it stands before a port.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
