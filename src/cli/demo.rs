//! `portcullis demo`: the gateway in front of a small FTP server, on this machine alone.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Exit, Failure};
use crate::config::{CertificateFiles, Config, Control, Flags, JournalFile, TlsMode, TlsRequire};
use crate::demo::{DemoOptions, RunningGateway, StartError};
use crate::gateway::{Gateway, Overrides};

const EXAMPLES: &str = "\
Example:
  portcullis demo
      and in another terminal: curl ftp://127.0.0.1:2121/

With a terminal it stays up until Ctrl-C. Without one it makes its own transfers in every mode,
tells what happened, and ends: exit code 0 when all went well, 1 when not.";

/// Shows the gateway at work.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where clients arrive
    #[arg(short, long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 2121)))]
    pub listen: SocketAddr,

    /// Serve clients over TLS too, with a certificate that is made for it and thrown away
    #[arg(long)]
    pub tls: bool,
}

impl Args {
    /// Runs the demonstration.
    ///
    /// # Errors
    /// When the gateway or the server can't start, or a transfer fails.
    pub fn execute(self) -> Result<Exit, Failure> {
        let options = DemoOptions {
            listen: self.listen,
            interactive: std::io::stdout().is_terminal(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime
            .block_on(crate::demo::run(
                options,
                &mut std::io::stdout(),
                async |upstream, listen| start(upstream, listen, self.tls),
            ))
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        Ok(Exit::Done)
    }
}

/// Starts a gateway like any other, but for its journal, which is a pipe to us.
fn start(
    upstream: SocketAddr,
    listen: SocketAddr,
    tls: bool,
) -> Result<RunningGateway, StartError> {
    let certificate = tls.then(|| Certificate::make(listen.ip())).transpose()?;
    let flags = Flags {
        listen: vec![listen.to_string()],
        upstream: vec![upstream.to_string()],
        ..Flags::default()
    };
    let mut config: Config = Config::from_flags(&flags, None)?.config;
    config.control = Control { socket: None };
    if let Some(certificate) = &certificate {
        for listener in config.listeners.values_mut() {
            listener.tls.mode = TlsMode::Explicit;
            listener.tls.require = TlsRequire::Nothing;
            listener.tls.certificates = vec![certificate.files()];
        }
    }
    let pipe = Pipe::make()?;
    config.journal.file = JournalFile::Path(pipe.path.clone());
    let reader = pipe.reader()?;
    let running = Gateway::start(config, Overrides::default())?;
    drop(pipe);
    let address = running
        .addresses()
        .first()
        .map_or(listen, |(_, address)| *address);
    let shown = certificate.as_ref().map(|made| made.files().chain);
    let stop = async move {
        // Its files are there as long as the gateway is.
        let _certificate = certificate;
        // Draining waits for the last session, so it happens beside the runtime.
        let ended = tokio::task::spawn_blocking(move || running.shutdown());
        if let Err(error) = ended.await {
            tracing::error!(%error, "the gateway did not end as it should");
        }
    };
    Ok(RunningGateway {
        address,
        journal: lines_of(reader)?,
        certificate: shown,
        stop: Box::pin(stop),
    })
}

/// Reads the journal's lines on a thread of their own, until the gateway has ended.
fn lines_of(reader: File) -> std::io::Result<UnboundedReceiver<String>> {
    let (lines, received) = unbounded_channel();
    std::thread::Builder::new()
        .name("demo-journal".to_owned())
        .spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        })?;
    Ok(received)
}

/// A named pipe in a folder that only we can enter; gone when dropped, while both ends live on.
struct Pipe {
    folder: PathBuf,
    path: PathBuf,
}

/// Makes a folder that only we can enter.
fn make_folder() -> std::io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let name = format!("portcullis-demo-{:016x}", u64::from_ne_bytes(random));
    let folder = std::env::temp_dir().join(name);
    rustix::fs::mkdir(&folder, Mode::RWXU)?;
    Ok(folder)
}

/// A certificate that vouches for itself, with its key, in a folder that only we can enter; gone when dropped.
struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    fn make(listen: IpAddr) -> Result<Certificate, StartError> {
        let mut names = vec![
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        if !listen.is_unspecified() && !listen.is_loopback() {
            names.push(listen.to_string());
        }
        let made = rcgen::generate_simple_self_signed(names)?;
        let certificate = Certificate {
            folder: make_folder()?,
        };
        let CertificateFiles { chain, key } = certificate.files();
        std::fs::write(chain, made.cert.pem())?;
        let private = rustix::fs::open(
            &key,
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )?;
        File::from(private).write_all(made.signing_key.serialize_pem().as_bytes())?;
        Ok(certificate)
    }

    fn files(&self) -> CertificateFiles {
        CertificateFiles {
            chain: self.folder.join("certificate.pem"),
            key: self.folder.join("key.pem"),
        }
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // It is worth nothing once the demo is over.
        let CertificateFiles { chain, key } = self.files();
        let _ = std::fs::remove_file(chain);
        let _ = std::fs::remove_file(key);
        let _ = std::fs::remove_dir(&self.folder);
    }
}

impl Pipe {
    fn make() -> std::io::Result<Pipe> {
        let folder = make_folder()?;
        let pipe = Pipe {
            path: folder.join("journal"),
            folder,
        };
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe.path, FileType::Fifo, mode, 0)?;
        Ok(pipe)
    }

    /// Opens the end to read from, before there is anybody who writes.
    fn reader(&self) -> std::io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let reader = rustix::fs::open(Path::new(&self.path), flags, Mode::empty())?;
        // From now on a read waits for the writer, who comes before the first read.
        rustix::io::ioctl_fionbio(&reader, false)?;
        Ok(File::from(reader))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // Nothing is lost if they stay: the folder is ours alone and holds no data.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_dir(&self.folder);
    }
}
