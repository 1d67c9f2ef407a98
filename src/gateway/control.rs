//! The control socket: a Unix socket that takes one JSON line and answers with one.
//!
//! Invariant: only the user that runs the gateway (and root) can connect; requests are bounded in length, number and
//! time. The socket file of a gateway that is gone is replaced; that of one that lives is an error.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::status::{Request, Response};

/// Longest request in bytes.
const LONGEST: u64 = 4096;

/// Most conversations at once.
const MOST_AT_ONCE: usize = 16;

/// How long a conversation may say or take nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another gateway answers there.
    #[error("another gateway answers at the control socket {0}; give each its own control.socket")]
    InUse(PathBuf),
    /// Something else is in its place.
    #[error("{0} is not a socket; choose another control.socket or remove it")]
    NotASocket(PathBuf),
    /// The kernel refused.
    #[error("no control socket at {path}: {source}")]
    Kernel {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A request and where its answer goes.
pub(super) type Asked = (Request, oneshot::Sender<Response>);

/// The bound socket, with its file where that is ours.
#[derive(Debug)]
pub struct ControlSocket {
    listener: StdUnixListener,
    _file: Option<SocketFile>,
}

/// The file of a socket that is ours; removed when this is dropped.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl ControlSocket {
    /// Binds the socket, replacing one that nobody answers at.
    ///
    /// # Errors
    /// When somebody answers there, something else is in its place, or the kernel refuses.
    pub fn bind(path: &Path) -> Result<ControlSocket, ControlError> {
        let failed = |source| ControlError::Kernel {
            path: path.to_owned(),
            source,
        };
        if let Some(directory) = path.parent()
            && !directory.as_os_str().is_empty()
            && !directory.exists()
        {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        make_way(path)?;
        // Made under another name and then moved: nobody can connect before the mode is right.
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(format!(".{}", std::process::id()));
        let fresh = PathBuf::from(fresh);
        let bound = bind_private(&fresh, path);
        if bound.is_err() {
            // It may not have come to be at all.
            let _ = std::fs::remove_file(&fresh);
        }
        let (listener, inode) = bound.map_err(failed)?;
        Ok(ControlSocket {
            listener,
            _file: Some(SocketFile {
                path: path.to_owned(),
                inode,
            }),
        })
    }

    /// Takes a socket that another process has bound and whose file is that one's.
    pub fn handed(listener: StdUnixListener) -> ControlSocket {
        ControlSocket {
            listener,
            _file: None,
        }
    }

    /// Gives another descriptor of the socket.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn listener(&self) -> io::Result<StdUnixListener> {
        self.listener.try_clone()
    }

    /// Answers for ever, by way of `asked`.
    pub(super) async fn serve(self, asked: mpsc::UnboundedSender<Asked>) {
        let listener = match UnixListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the control socket does not answer");
                return;
            }
        };
        let seats = Arc::new(Semaphore::new(MOST_AT_ONCE));
        loop {
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let asked = asked.clone();
                    tokio::spawn(async move {
                        let conversation = converse(stream, asked);
                        match tokio::time::timeout(PATIENCE * 3, conversation).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::debug!(%error, "control socket"),
                            Err(_) => tracing::debug!("control socket: too slow"),
                        }
                        drop(seat);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "control socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another gateway may have put its own there meanwhile.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket file of a gateway that is gone.
fn make_way(path: &Path) -> Result<(), ControlError> {
    let Ok(file) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !file.file_type().is_socket() {
        return Err(ControlError::NotASocket(path.to_owned()));
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(ControlError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => Err(ControlError::Kernel {
            path: path.to_owned(),
            source,
        }),
    }
}

fn bind_private(fresh: &Path, path: &Path) -> io::Result<(StdUnixListener, u64)> {
    let listener = StdUnixListener::bind(fresh)?;
    listener.set_nonblocking(true)?;
    std::fs::set_permissions(fresh, std::fs::Permissions::from_mode(0o600))?;
    let inode = std::fs::symlink_metadata(fresh)?.ino();
    std::fs::rename(fresh, path)?;
    Ok((listener, inode))
}

/// Answers every line until the peer hangs up.
async fn converse(stream: UnixStream, asked: mpsc::UnboundedSender<Asked>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut lines).take(LONGEST);
        let reading = tokio::time::timeout(PATIENCE, bounded.read_until(b'\n', &mut line));
        let read = reading.await.map_err(|_| io::ErrorKind::TimedOut)??;
        if read == 0 {
            return Ok(());
        }
        let complete = line.ends_with(b"\n");
        let response = if complete {
            answer(&line, &asked).await
        } else {
            Response::Error("a request is one line of at most 4096 bytes".to_owned())
        };
        let mut text = serde_json::to_vec(&response).map_err(io::Error::other)?;
        text.push(b'\n');
        tokio::time::timeout(PATIENCE, write.write_all(&text))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        if !complete {
            return Ok(());
        }
    }
}

async fn answer(line: &[u8], asked: &mpsc::UnboundedSender<Asked>) -> Response {
    let request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return Response::Error(format!("this is no request: {error}")),
    };
    let (answer, answered) = oneshot::channel();
    let gone = || Response::Error("the gateway is ending".to_owned());
    if asked.send((request, answer)).is_err() {
        return gone();
    }
    answered.await.unwrap_or_else(|_| gone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sub/control.sock");
        let first = ControlSocket::bind(&path).expect("a socket");
        assert!(matches!(
            ControlSocket::bind(&path),
            Err(ControlError::InUse(_))
        ));
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        // Its owner is killed: the file stays, nobody answers.
        std::fs::rename(&path, directory.path().join("stale")).expect("moved");
        drop(first);
        std::fs::rename(directory.path().join("stale"), &path).expect("moved back");
        let second = ControlSocket::bind(&path).expect("replaces a stale one");
        drop(second);
        assert!(!path.exists(), "the file goes with its gateway");
    }

    #[test]
    fn another_kind_of_file_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("control.sock");
        std::fs::write(&path, "precious").expect("a file");
        assert!(matches!(
            ControlSocket::bind(&path),
            Err(ControlError::NotASocket(_))
        ));
        assert_eq!(
            std::fs::read_to_string(&path).expect("still there"),
            "precious"
        );
    }
}
