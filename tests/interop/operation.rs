//! What is done in a cell: the files that must be there before, the action, and what must be true afterwards.

use std::fs;
use std::path::Path;

use crate::client::Action;
use crate::content::{self, Blob, Failure};

/// The file of an ordinary transfer: more than one segment, no round number.
const ORDINARY: Blob = Blob {
    seed: 1,
    length: 100_003,
};

/// What is appended to [`ORDINARY`].
const MORE: Blob = Blob {
    seed: 2,
    length: 30_011,
};

const EMPTY: Blob = Blob { seed: 3, length: 0 };

/// How much of a file is there already when it is resumed.
const HELD: usize = 40_000;

/// How many small files are transferred in one go, and how they are called.
const MANY: usize = 200;

/// A name with spaces and with letters beyond ASCII, of two, three and four bytes in UTF-8.
const AWKWARD: &str = "zwei Wörter – und eine 🦉.txt";

/// The names in the directory that is listed.
const LISTED: [&str; 3] = ["first-listed.txt", "second-listed.bin", "third-listed"];

/// One operation of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    List,
    Download,
    Upload,
    Append,
    ResumeDownload,
    ResumeUpload,
    Rename,
    Delete,
    Mkdir,
    Rmdir,
    DownloadAwkwardName,
    UploadAwkwardName,
    DownloadEmpty,
    UploadEmpty,
    DownloadMany,
    UploadMany,
    DownloadBig,
    UploadBig,
}

impl Operation {
    /// The operations that every mode must carry.
    pub const BASIC: [Self; 3] = [Self::List, Self::Download, Self::Upload];

    /// The operations that are tried once per server and client.
    pub const RICH: [Self; 13] = [
        Self::Append,
        Self::ResumeDownload,
        Self::ResumeUpload,
        Self::Rename,
        Self::Delete,
        Self::Mkdir,
        Self::Rmdir,
        Self::DownloadAwkwardName,
        Self::UploadAwkwardName,
        Self::DownloadEmpty,
        Self::UploadEmpty,
        Self::DownloadMany,
        Self::UploadMany,
    ];

    /// The words of the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Append => "append",
            Self::ResumeDownload => "resume download",
            Self::ResumeUpload => "resume upload",
            Self::Rename => "rename",
            Self::Delete => "delete",
            Self::Mkdir => "make directory",
            Self::Rmdir => "remove directory",
            Self::DownloadAwkwardName => "download name with spaces and UTF-8",
            Self::UploadAwkwardName => "upload name with spaces and UTF-8",
            Self::DownloadEmpty => "download empty file",
            Self::UploadEmpty => "upload empty file",
            Self::DownloadMany => "download 200 files",
            Self::UploadMany => "upload 200 files",
            Self::DownloadBig => "download 1 GiB",
            Self::UploadBig => "upload 1 GiB",
        }
    }

    /// Whether a client needs more than the usual patience. 200 files are among them for curl's sake: a reply that arrives
    /// within microseconds can slip past its polling, and then it sleeps for a second before it goes on.
    pub fn is_long(self) -> bool {
        self.is_big() || matches!(self, Self::DownloadMany | Self::UploadMany)
    }

    /// Whether a whole gibibyte is moved.
    pub fn is_big(self) -> bool {
        matches!(self, Self::DownloadBig | Self::UploadBig)
    }

    /// Whether the operation itself moves data over a data connection.
    pub fn transfers(self) -> bool {
        !matches!(
            self,
            Self::Rename | Self::Delete | Self::Mkdir | Self::Rmdir
        )
    }

    /// What the client is asked to do.
    pub fn action(self) -> Action<'static> {
        match self {
            Self::List => Action::List,
            Self::Download | Self::DownloadBig => Action::Get {
                remote: "down.bin",
                local: "got.bin",
            },
            Self::Upload | Self::UploadBig => Action::Put {
                local: "up.bin",
                remote: "put.bin",
            },
            Self::Append => Action::Append {
                local: "more.bin",
                remote: "log.bin",
            },
            Self::ResumeDownload => Action::ResumeGet { name: "part.bin" },
            Self::ResumeUpload => Action::ResumePut {
                name: "part.bin",
                held: HELD,
            },
            Self::Rename => Action::Rename {
                from: "old-name",
                to: "new-name",
            },
            Self::Delete => Action::Delete { name: "doomed" },
            Self::Mkdir => Action::Mkdir { name: "made" },
            Self::Rmdir => Action::Rmdir { name: "unmade" },
            Self::DownloadAwkwardName => Action::Get {
                remote: AWKWARD,
                local: "got.bin",
            },
            Self::UploadAwkwardName => Action::Put {
                local: "up.bin",
                remote: AWKWARD,
            },
            Self::DownloadEmpty => Action::Get {
                remote: "empty",
                local: "got.bin",
            },
            Self::UploadEmpty => Action::Put {
                local: "empty",
                remote: "put.bin",
            },
            Self::DownloadMany => Action::GetMany { directory: "many" },
            Self::UploadMany => Action::PutMany { directory: "many" },
        }
    }

    /// Makes the files that must be there; `big` is a file to link to.
    pub fn prepare(self, server: &Path, client: &Path, big: &Path) -> Result<(), Failure> {
        match self {
            Self::List => LISTED
                .iter()
                .try_for_each(|name| content::write(&server.join(name), name.as_bytes())),
            Self::Download => ORDINARY.write(&server.join("down.bin")),
            Self::Upload | Self::UploadAwkwardName => ORDINARY.write(&client.join("up.bin")),
            Self::Append => {
                ORDINARY.write(&server.join("log.bin"))?;
                MORE.write(&client.join("more.bin"))
            }
            Self::ResumeDownload => {
                ORDINARY.write(&server.join("part.bin"))?;
                ORDINARY.write_part(&client.join("part.bin"), HELD)
            }
            Self::ResumeUpload => {
                ORDINARY.write(&client.join("part.bin"))?;
                ORDINARY.write_part(&server.join("part.bin"), HELD)
            }
            Self::Rename => ORDINARY.write(&server.join("old-name")),
            Self::Delete => ORDINARY.write(&server.join("doomed")),
            Self::Mkdir => Ok(()),
            Self::Rmdir => content::make_directory(&server.join("unmade")),
            Self::DownloadAwkwardName => ORDINARY.write(&server.join(AWKWARD)),
            Self::DownloadEmpty => EMPTY.write(&server.join("empty")),
            Self::UploadEmpty => EMPTY.write(&client.join("empty")),
            Self::DownloadMany => write_many(&server.join("many")),
            Self::UploadMany => {
                content::make_directory(&server.join("many"))?;
                write_many(&client.join("many"))
            }
            Self::DownloadBig => content::link(big, &server.join("down.bin")),
            Self::UploadBig => content::link(big, &client.join("up.bin")),
        }
    }

    /// Compares what is on the disks afterwards; `printed` is the client's output.
    pub fn verify(
        self,
        server: &Path,
        client: &Path,
        big: &Path,
        printed: &str,
    ) -> Result<(), Failure> {
        match self {
            Self::List => LISTED.iter().try_for_each(|name| {
                printed
                    .contains(name)
                    .then_some(())
                    .ok_or_else(|| format!("{name} is not in the listing"))
            }),
            Self::ResumeDownload => ORDINARY.expect(&client.join("part.bin")),
            Self::ResumeUpload => ORDINARY.expect(&server.join("part.bin")),
            Self::Download | Self::DownloadAwkwardName => ORDINARY.expect(&client.join("got.bin")),
            Self::Upload => ORDINARY.expect(&server.join("put.bin")),
            Self::UploadAwkwardName => ORDINARY.expect(&server.join(AWKWARD)),
            Self::Append => {
                let whole = [ORDINARY.bytes(), MORE.bytes()].concat();
                content::expect_bytes(&server.join("log.bin"), &whole)
            }
            Self::Rename => {
                ORDINARY.expect(&server.join("new-name"))?;
                expect_none(&server.join("old-name"))
            }
            Self::Delete => expect_none(&server.join("doomed")),
            Self::Mkdir => {
                let made = server.join("made").is_dir();
                made.then_some(())
                    .ok_or_else(|| "the directory was not made".to_owned())
            }
            Self::Rmdir => expect_none(&server.join("unmade")),
            Self::DownloadEmpty => EMPTY.expect(&client.join("got.bin")),
            Self::UploadEmpty => EMPTY.expect(&server.join("put.bin")),
            Self::DownloadMany => expect_many(&client.join("many")),
            Self::UploadMany => expect_many(&server.join("many")),
            Self::DownloadBig => content::expect_same(&client.join("got.bin"), big),
            Self::UploadBig => content::expect_same(&server.join("put.bin"), big),
        }
    }

    /// The commands of which one must have been sent, lest a whole transfer pass for a resumed one.
    pub fn needs_one_of(self) -> &'static [&'static str] {
        match self {
            Self::ResumeDownload => &["REST"],
            // With APPE only the rest is sent behind what is there, which comes to the same.
            Self::ResumeUpload => &["REST", "APPE"],
            Self::Append => &["APPE"],
            Self::List
            | Self::Download
            | Self::Upload
            | Self::Rename
            | Self::Delete
            | Self::Mkdir
            | Self::Rmdir
            | Self::DownloadAwkwardName
            | Self::UploadAwkwardName
            | Self::DownloadEmpty
            | Self::UploadEmpty
            | Self::DownloadMany
            | Self::UploadMany
            | Self::DownloadBig
            | Self::UploadBig => &[],
        }
    }
}

fn small_file(number: usize) -> (String, Blob) {
    let seed = 1000 + u64::try_from(number).unwrap_or_default();
    (
        format!("file-{number:03}"),
        Blob {
            seed,
            length: number * 37,
        },
    )
}

fn write_many(directory: &Path) -> Result<(), Failure> {
    content::make_directory(directory)?;
    (0..MANY)
        .map(small_file)
        .try_for_each(|(name, blob)| blob.write(&directory.join(name)))
}

fn expect_many(directory: &Path) -> Result<(), Failure> {
    (0..MANY)
        .map(small_file)
        .try_for_each(|(name, blob)| blob.expect(&directory.join(name)))
}

fn expect_none(path: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(format!("{} is still there", path.display())),
        Err(_) => Ok(()),
    }
}
