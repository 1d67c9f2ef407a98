//! The transfers that the demo makes by itself: up, down and a listing, in every mode, checked byte for byte.

use std::fmt;
use std::net::SocketAddr;

use thiserror::Error;

use super::client::{ClientError, DataMode, DemoClient};
use super::server::pattern;

const UPLOAD: usize = 1024 * 1024;

/// What a transfer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A file goes to the server.
    Upload,
    /// A file comes from the server.
    Download,
    /// The listing of a directory comes from the server.
    List,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::List => "list",
        })
    }
}

/// One transfer that was made and whose bytes were found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What it did.
    pub action: Action,
    /// How its data connection was made.
    pub mode: DataMode,
    /// The file's name, or the directory's.
    pub name: String,
    /// How many bytes travelled.
    pub bytes: usize,
}

/// Why the demo's transfers ended early.
#[derive(Debug, Error)]
pub enum TourFault {
    /// The client gave up before the first transfer or after the last.
    #[error("{0}")]
    Session(#[source] ClientError),
    /// A transfer failed.
    #[error("the {action} of {name} with {mode} failed: {error}")]
    Failed {
        /// What was tried.
        action: Action,
        /// In which mode.
        mode: DataMode,
        /// The file's name, or the directory's.
        name: String,
        /// What went wrong.
        error: ClientError,
    },
    /// Other bytes came than were sent.
    #[error("{name} came back different with {mode}: {got} bytes came, {expected} were sent")]
    Different {
        /// In which mode.
        mode: DataMode,
        /// The file's name.
        name: String,
        /// How many bytes came.
        got: usize,
        /// How many bytes were sent.
        expected: usize,
    },
    /// A file that was stored does not stand in the listing with its size.
    #[error("{name} does not stand in the listing that came with {mode}")]
    NotListed {
        /// In which mode.
        mode: DataMode,
        /// The file's name.
        name: String,
    },
}

/// Logs in at a server and, in every mode that its address allows, uploads 1 MiB, fetches it again, compares it, and
/// looks for it in the listing; `done` is called after each transfer, before the next begins.
///
/// # Errors
///
/// The first [`TourFault`], or what `done` returned.
pub async fn make_transfers<E: From<TourFault>>(
    server: SocketAddr,
    mut done: impl AsyncFnMut(&Transfer) -> Result<(), E>,
) -> Result<Vec<Transfer>, E> {
    let mut made = Vec::new();
    let mut client = DemoClient::log_in(server, "demo", "demo")
        .await
        .map_err(TourFault::Session)?;
    let modes = DataMode::ALL.into_iter().zip(1..);
    for (mode, seed) in modes.filter(|(mode, _)| mode.serves(server.ip())) {
        let name = format!("demo-{}.bin", mode.to_string().to_lowercase());
        for action in [Action::Upload, Action::Download, Action::List] {
            let bytes = make(&mut client, action, mode, &name, seed).await?;
            let name = match action {
                Action::Upload | Action::Download => name.clone(),
                Action::List => "/".to_owned(),
            };
            let transfer = Transfer {
                action,
                mode,
                name,
                bytes,
            };
            done(&transfer).await?;
            made.push(transfer);
        }
        client.delete(&name).await.map_err(TourFault::Session)?;
    }
    client.quit().await.map_err(TourFault::Session)?;
    Ok(made)
}

/// Makes one transfer, checks it, and returns how many bytes travelled.
async fn make(
    client: &mut DemoClient,
    action: Action,
    mode: DataMode,
    name: &str,
    seed: u32,
) -> Result<usize, TourFault> {
    let failed = |error| TourFault::Failed {
        action,
        mode,
        name: name.to_owned(),
        error,
    };
    let sent = pattern(seed, UPLOAD);
    match action {
        Action::Upload => {
            client.upload(mode, name, &sent).await.map_err(failed)?;
            Ok(sent.len())
        }
        Action::Download => {
            let got = client.download(mode, name).await.map_err(failed)?;
            if got == sent {
                return Ok(got.len());
            }
            Err(TourFault::Different {
                mode,
                name: name.to_owned(),
                got: got.len(),
                expected: sent.len(),
            })
        }
        Action::List => {
            let listing = client.list(mode, "/").await.map_err(failed)?;
            if String::from_utf8_lossy(&listing)
                .lines()
                .any(|line| line.ends_with(&format!(" {name}")) && line.contains(" 1048576 "))
            {
                return Ok(listing.len());
            }
            Err(TourFault::NotListed {
                mode,
                name: name.to_owned(),
            })
        }
    }
}
