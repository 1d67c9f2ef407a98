//! The clients: how each of them makes fifty transfers over FTPS in one session, and what it can't do.
//!
//! The files to upload are in `up`; the same are downloaded into `down`. Every client checks the gateway's certificate.

use std::net::SocketAddr;
use std::path::Path;

use portcullis_netlab::Family;
use portcullis_netlab::server::{PASSWORD, USER};

use crate::transfers::FILES;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ftps/ftps_client.py");

/// The account's password as `rclone obscure` writes it.
const OBSCURED: &str = "u8OZ4-nK-uQ30qbP6hWL92XVdk_Lqltp7o9m";

/// How the client negotiates data connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Epsv,
    Pasv,
    Port,
    Eprt,
}

impl Mode {
    pub const ALL: [Self; 4] = [Self::Epsv, Self::Pasv, Self::Port, Self::Eprt];

    pub fn verb(self) -> &'static str {
        match self {
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
            Self::Port => "PORT",
            Self::Eprt => "EPRT",
        }
    }

    /// The family in which the client speaks: the newer two over IPv6.
    pub fn family(self) -> Family {
        match self {
            Self::Epsv | Self::Eprt => Family::V6,
            Self::Pasv | Self::Port => Family::V4,
        }
    }

    fn is_passive(self) -> bool {
        match self {
            Self::Epsv | Self::Pasv => true,
            Self::Port | Self::Eprt => false,
        }
    }
}

/// A version of TLS between client and gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1_2,
    V1_3,
}

impl Version {
    pub const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// Why something can't be done.
pub type Reason = &'static str;

/// A client program, told how to use TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `curl --ssl-reqd`.
    Curl,
    /// curl with `ftps://`.
    CurlImplicit,
    /// lftp, with GnuTLS.
    Lftp,
    /// Python's FTP_TLS as it is: it never resumes.
    Ftplib,
    /// Python's FTP_TLS, taught to resume.
    FtplibResuming,
    /// wget, with GnuTLS. It only reads.
    Wget,
    /// rclone, with Go's TLS. It lists what it wrote, and downloads in a second session.
    Rclone,
}

/// One run of a client.
pub struct Run {
    pub program: &'static str,
    pub arguments: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
}

impl Client {
    pub const ALL: [Self; 7] = [
        Self::Curl,
        Self::CurlImplicit,
        Self::Lftp,
        Self::Ftplib,
        Self::FtplibResuming,
        Self::Wget,
        Self::Rclone,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl --ssl-reqd",
            Self::CurlImplicit => "curl ftps://",
            Self::Lftp => "lftp",
            Self::Ftplib => "FTP_TLS",
            Self::FtplibResuming => "FTP_TLS, resuming",
            Self::Wget => "wget --ftps-resume-ssl",
            Self::Rclone => "rclone",
        }
    }

    /// Whether the client can be told to use a mode.
    pub fn supports(self, mode: Mode) -> Result<(), Reason> {
        match self {
            Self::Curl | Self::CurlImplicit if !mode.is_passive() => Err(
                "curl 7.88 gives up active FTPS by itself (inet_ntop() failed), also straight to vsftpd",
            ),
            Self::Rclone if !mode.is_passive() => Err("rclone has no active mode"),
            Self::Curl
            | Self::CurlImplicit
            | Self::Lftp
            | Self::Ftplib
            | Self::FtplibResuming
            | Self::Wget
            | Self::Rclone => Ok(()),
        }
    }

    /// Whether each of its data connections resumes its control connection's session. rclone offers tickets of other control connections.
    pub fn always_resumes(self) -> bool {
        match self {
            Self::Ftplib | Self::Rclone => false,
            Self::Curl | Self::CurlImplicit | Self::Lftp | Self::FtplibResuming | Self::Wget => {
                true
            }
        }
    }

    /// Whether it can write; for one that can't, the files are on the server already.
    pub fn uploads(self) -> bool {
        self != Self::Wget
    }

    /// Fifty transfers, in a directory of the server.
    pub fn run(
        self,
        to: SocketAddr,
        mode: Mode,
        version: Version,
        ca: &Path,
        directory: &str,
    ) -> Run {
        let last = FILES - 1;
        let ca = ca.display().to_string();
        let mut environment = Vec::new();
        let (program, arguments): (_, Vec<String>) = match self {
            Self::Curl | Self::CurlImplicit => {
                let (scheme, demand) = if self == Self::Curl {
                    ("ftp", "--ssl-reqd")
                } else {
                    ("ftps", "--ssl-reqd")
                };
                let mut common: Vec<String> =
                    ["-sSv", "--fail-early", demand, "--cacert", &ca, "--user"]
                        .map(ToOwned::to_owned)
                        .into();
                common.push(format!("{USER}:{PASSWORD}"));
                let version: &[&str] = match version {
                    Version::V1_2 => &["--tls-max", "1.2"],
                    Version::V1_3 => &["--tlsv1.3"],
                };
                let mode: &[&str] = match mode {
                    Mode::Epsv => &[],
                    Mode::Pasv => &["--disable-epsv"],
                    Mode::Port => &["--ftp-port", "-", "--disable-eprt"],
                    Mode::Eprt => &["--ftp-port", "-"],
                };
                common.extend(version.iter().chain(mode).map(|word| (*word).to_owned()));
                let url = format!("{scheme}://{to}/{directory}/");
                let up = ["-T".to_owned(), format!("up/file-[00-{last}]"), url.clone()];
                let down = [
                    format!("{url}file-[00-{last}]"),
                    "-o".to_owned(),
                    "down/file-#1".to_owned(),
                ];
                let mut all = vec!["-q".to_owned()];
                all.extend(common.iter().cloned().chain(up));
                all.push("--next".to_owned());
                all.extend(common.into_iter().chain(down));
                ("curl", all)
            }
            Self::Lftp => {
                let (epsv, passive) = (mode == Mode::Epsv, mode.is_passive());
                let script = format!(
                    "debug 5; set net:max-retries 1; set net:timeout 30; set cmd:fail-exit yes; set xfer:clobber on; \
                     set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ssl:ca-file {ca}; \
                     set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS{}; set ftp:passive-mode {passive}; set ftp:prefer-epsv {epsv}; \
                     set net:connection-limit 1; open -u {USER},{PASSWORD} -p {} ftp://{}; cd {directory}; \
                     lcd up; mput *; lcd ../down; mget *",
                    version.name(),
                    to.port(),
                    host_of(to),
                );
                ("lftp", vec!["--norc".to_owned(), "-c".to_owned(), script])
            }
            Self::Ftplib | Self::FtplibResuming => {
                let reuse = if self == Self::Ftplib {
                    "fresh"
                } else {
                    "resume"
                };
                let (host, port) = (to.ip().to_string(), to.port().to_string());
                let words = [
                    PROGRAM,
                    &host,
                    &port,
                    USER,
                    PASSWORD,
                    mode.verb(),
                    version.name(),
                    reuse,
                    &ca,
                    directory,
                ];
                ("python3", words.map(ToOwned::to_owned).into())
            }
            Self::Wget => {
                let mut words = vec![
                    "--no-config".to_owned(),
                    "--no-verbose".to_owned(),
                    "--tries=1".to_owned(),
                    "--timeout=30".to_owned(),
                    "--ftps-resume-ssl".to_owned(),
                    format!("--ca-certificate={ca}"),
                    format!("--ciphers=NORMAL:-VERS-ALL:+VERS-TLS{}", version.name()),
                    format!("--user={USER}"),
                    format!("--password={PASSWORD}"),
                    "--directory-prefix=down".to_owned(),
                ];
                if !mode.is_passive() {
                    words.push("--no-passive-ftp".to_owned());
                }
                words.push(format!("ftps://{to}/{directory}/*"));
                ("wget", words)
            }
            Self::Rclone => {
                environment = vec![
                    ("SSL_CERT_FILE", ca),
                    ("RCLONE_CONFIG_GATEWAY_TYPE", "ftp".to_owned()),
                    ("RCLONE_CONFIG_GATEWAY_HOST", host_of(to)),
                    ("RCLONE_CONFIG_GATEWAY_PORT", to.port().to_string()),
                    ("RCLONE_CONFIG_GATEWAY_USER", USER.to_owned()),
                    ("RCLONE_CONFIG_GATEWAY_PASS", OBSCURED.to_owned()),
                    ("RCLONE_CONFIG_GATEWAY_EXPLICIT_TLS", "true".to_owned()),
                    (
                        "RCLONE_CONFIG_GATEWAY_DISABLE_EPSV",
                        (mode == Mode::Pasv).to_string(),
                    ),
                    (
                        "RCLONE_CONFIG_GATEWAY_DISABLE_TLS13",
                        (version == Version::V1_2).to_string(),
                    ),
                ];
                let script = format!(
                    "set -- --config '' -vv --retries 1 --low-level-retries 1 --transfers 1 --checkers 1
                     rclone \"$@\" copy up gateway:{directory} && rclone \"$@\" copy gateway:{directory} down"
                );
                ("sh", vec!["-c".to_owned(), script])
            }
        };
        Run {
            program,
            arguments,
            environment,
        }
    }
}

/// The host as in a URL.
fn host_of(at: SocketAddr) -> String {
    match at {
        SocketAddr::V4(at) => at.ip().to_string(),
        SocketAddr::V6(at) => format!("[{}]", at.ip()),
    }
}
