//! `portcullis journal pinholes`: the life of each pinhole as one row of a table.
//!
//! Journals are read leniently and as a stream: memory holds the pinholes that are open, never the file. What
//! stands in a journal came from peers once, so everything is escaped on its way to the terminal.

mod follow;
mod lives;
mod read;
mod table;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use ipnet::IpNet;

use crate::engine::Wall;
use crate::gateway::journal::siblings;

use lives::Lives;
use read::Lines;
use table::Table;

/// How long before `since` a file may have been put aside and still be read, for pinholes that opened in it.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Which pinholes are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinholeQuery {
    /// Only those that were open at this time or later; see [`ago`].
    pub since: Option<Wall>,
    /// Only those of sessions whose client is in this network.
    pub client: Option<IpNet>,
    /// Only those that are open still.
    pub open: bool,
    /// Goes on with what is written to the last file, through rotations, and shows pinholes as they open too.
    pub follow: bool,
}

/// Where a journal is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    Stdin,
    /// A file, together with the files that the journal put aside from it.
    File(PathBuf),
}

impl Source {
    /// Takes an argument of the command line: `-` is standard input.
    pub fn from_argument(argument: &Path) -> Self {
        if argument == "-" {
            Source::Stdin
        } else {
            Source::File(argument.to_owned())
        }
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows that were printed.
    pub rows: u64,
    /// Lines that could not be read.
    pub unreadable: u64,
}

/// Gives the time that lies this long before now, for [`PinholeQuery::since`].
pub fn ago(duration: Duration) -> Wall {
    let now = jiff::Timestamp::now().as_microsecond();
    let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Wall(u64::try_from(now.saturating_sub(micros)).unwrap_or(0))
}

/// Prints the table to `out`, and to `notes` what could not be read.
///
/// Several files are read in the order of their time; files that were put aside come before the file that they
/// came from. A reader of `out` that goes away ends it without an error.
///
/// # Errors
/// When a file cannot be read, or `out` cannot be written.
pub fn pinholes(
    query: &PinholeQuery,
    sources: &[Source],
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<Summary> {
    let mut report = Report {
        query,
        lives: Lives::new(query.follow),
        table: Table::default(),
        out,
        summary: Summary::default(),
    };
    let read = report.read_all(sources).and_then(|()| report.finish());
    let (summary, untracked) = (report.summary, report.lives.untracked());
    match read {
        Err(error) if is_broken_pipe(&error) => {}
        other => other?,
    }
    if summary.unreadable > 0 {
        writeln!(
            notes,
            "{} lines could not be read (torn by a full disk or a crash, or no journal)",
            summary.unreadable
        )?;
    }
    if untracked > 0 {
        writeln!(
            notes,
            "{untracked} pinholes beyond the bound of this table opened and are shown only if they were closed"
        )?;
    }
    Ok(summary)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A table in the making.
struct Report<'a> {
    query: &'a PinholeQuery,
    lives: Lives,
    table: Table,
    out: &'a mut dyn Write,
    summary: Summary,
}

impl Report<'_> {
    fn read_all(&mut self, sources: &[Source]) -> anyhow::Result<()> {
        let last = sources.len().saturating_sub(1);
        for (number, source) in in_order(sources).iter().enumerate() {
            match source {
                Source::Stdin => self.read_stdin()?,
                Source::File(path) => {
                    self.read_file(path, self.query.follow && number == last)?;
                }
            }
        }
        Ok(())
    }

    fn read_stdin(&mut self) -> anyhow::Result<()> {
        let mut lines = Lines::new(io::stdin().lock());
        if self.query.follow {
            // Whoever writes there may be slow: each line is shown when it comes.
            while let Some(line) = lines.next()? {
                self.line(line)?;
                self.flush()?;
            }
        }
        self.read(&mut lines)
    }

    /// Reads what was put aside from a file, then the file itself, and what is written to it from now on.
    fn read_file(&mut self, path: &Path, follow: bool) -> anyhow::Result<()> {
        // Opened first: a rotation that comes between shows as one of the files put aside, and is passed over.
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let identity = file.metadata().map(|it| (it.dev(), it.ino()))?;
        let earliest = self.query.since.map_or(0, |since| {
            since.0.saturating_sub(LONGEST_LIFE.as_micros() as u64)
        });
        for (at, aside) in siblings(path).unwrap_or_default() {
            if at.0 < earliest {
                continue;
            }
            // Deleted by now, because it is old, is no error.
            let Ok(file) = File::open(&aside) else {
                continue;
            };
            if file.metadata().map(|it| (it.dev(), it.ino()))? != identity {
                self.read(&mut Lines::new(file))
                    .with_context(|| format!("cannot read {}", aside.display()))?;
            }
        }
        if follow {
            return follow::follow(path, file, &mut |lines| {
                self.read_complete(lines)?;
                self.flush()
            });
        }
        self.read(&mut Lines::new(file))
    }

    /// Reads to the end; a last line without a line feed counts.
    fn read(&mut self, lines: &mut Lines<impl io::Read>) -> anyhow::Result<()> {
        self.read_complete(lines)?;
        if let Some(rest) = lines.rest() {
            self.line(rest)?;
        }
        Ok(())
    }

    /// Reads every complete line.
    fn read_complete(&mut self, lines: &mut Lines<impl io::Read>) -> anyhow::Result<()> {
        while let Some(line) = lines.next()? {
            self.line(line)?;
        }
        Ok(())
    }

    fn line(&mut self, line: Option<&[u8]>) -> anyhow::Result<()> {
        let Some(shown) = line.and_then(|line| self.lives.line(line).ok()) else {
            self.summary.unreadable += 1;
            return Ok(());
        };
        for row in shown {
            self.row(&row)?;
        }
        Ok(())
    }

    fn row(&mut self, row: &lives::Life) -> anyhow::Result<()> {
        if row.answers(self.query) {
            self.summary.rows += 1;
            self.table.row(row, self.out)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.table.flush(self.out)?;
        self.out.flush()?;
        Ok(())
    }

    /// Shows what is open still.
    fn finish(&mut self) -> anyhow::Result<()> {
        if !self.query.follow {
            for row in self.lives.open() {
                self.row(&row)?;
            }
        }
        self.flush()
    }
}

/// Puts files in the order of their time: what was put aside from a file stands before it, the oldest first, and
/// is not read twice when the file itself is given.
fn in_order(sources: &[Source]) -> Vec<Source> {
    use crate::gateway::journal::rotated_at;

    let given: Vec<&Path> = sources
        .iter()
        .filter_map(|source| match source {
            Source::File(path) => Some(path.as_path()),
            Source::Stdin => None,
        })
        .collect();
    let comes_with_another = |path: &Path| {
        given
            .iter()
            .any(|other| other.parent() == path.parent() && rotated_at(other, path).is_some())
    };
    let mut ordered: Vec<Source> = sources
        .iter()
        .filter(|source| match source {
            Source::File(path) => !comes_with_another(path),
            Source::Stdin => true,
        })
        .cloned()
        .collect();
    // Only files of one journal have an order of their own; names with a stamp sort by it.
    if ordered.iter().all(|source| match source {
        Source::File(path) => stamped(path),
        Source::Stdin => false,
    }) {
        ordered.sort_by(|a, b| match (a, b) {
            (Source::File(a), Source::File(b)) => a.cmp(b),
            (Source::Stdin, _) | (_, Source::Stdin) => std::cmp::Ordering::Equal,
        });
    }
    ordered
}

/// Tells whether a name looks like one of a file that a journal put aside.
fn stamped(path: &Path) -> bool {
    use crate::gateway::journal::rotated_at;

    rotated_at(&path.with_extension(""), path).is_some()
}
