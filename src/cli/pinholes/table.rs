//! The table: aligned, escaped, and printed as it grows.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::engine::Wall;
use crate::gateway::journal::misleads;

use super::lives::{Bytes, Life};

/// Rows that wait for each other to find the width of columns.
const TOGETHER: usize = 1000;
/// Widest cell in characters; what is longer is cut.
const WIDEST: usize = 48;
/// Names of the columns.
const HEADINGS: [&str; 13] = [
    "TIME",
    "PINHOLE",
    "USER",
    "CLIENT",
    "COMMAND",
    "SIDE",
    "WHERE",
    "LEADS TO",
    "OPEN FOR",
    "USED AFTER",
    "BYTES UP",
    "BYTES DOWN",
    "REASON",
];
/// Columns of numbers, which stand to the right.
const NUMBERS: std::ops::RangeInclusive<usize> = 8..=11;

type Row = [String; HEADINGS.len()];

/// Rows on their way out.
#[derive(Debug, Default)]
pub(super) struct Table {
    waiting: Vec<Row>,
    widths: [usize; HEADINGS.len()],
    begun: bool,
}

impl Table {
    /// Adds a row.
    pub(super) fn row(&mut self, life: &Life, out: &mut dyn Write) -> io::Result<()> {
        self.waiting.push(row(life));
        if self.waiting.len() >= TOGETHER {
            self.flush(out)?;
        }
        Ok(())
    }

    /// Prints what waits; columns only ever grow wider.
    pub(super) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if !self.begun && !self.waiting.is_empty() {
            self.begun = true;
            self.waiting.insert(0, HEADINGS.map(String::from));
        }
        for row in &self.waiting {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in self.waiting.drain(..) {
            text.clear();
            for (column, (cell, width)) in row.iter().zip(self.widths).enumerate() {
                if NUMBERS.contains(&column) {
                    let _ = write!(text, "{cell:>width$}  ");
                } else {
                    let _ = write!(text, "{cell:<width$}  ");
                }
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

fn row(life: &Life) -> Row {
    let end = life.end.as_ref();
    let after = |later: Option<Wall>| match later {
        Some(later) => seconds(later.0.saturating_sub(life.opened.0)),
        None => "-".into(),
    };
    let bytes = |which: fn((u64, u64)) -> u64| match life.bytes {
        None => "-".into(),
        Some(Bytes::Data { up, down }) => which((up, down)).to_string(),
        Some(Bytes::Wire { up, down }) => format!("{} wire", which((up, down))),
    };
    [
        life.opened.to_string(),
        cell(&life.pinhole),
        cell(&life.user),
        cell(&life.client),
        cell(&life.command),
        cell(&life.side),
        cell(&life.at),
        cell(&life.leads_to),
        after(end.map(|end| end.at)),
        after(life.used),
        bytes(|(up, _)| up),
        bytes(|(_, down)| down),
        end.map_or("open".into(), |end| cell(&end.reason)),
    ]
}

/// Shows micros as seconds.
fn seconds(micros: u64) -> String {
    format!("{}.{:03} s", micros / 1_000_000, micros / 1000 % 1000)
}

/// Makes text fit for a cell: nothing that a terminal would obey, and not too long.
fn cell(text: &str) -> String {
    if text.is_empty() {
        return "-".into();
    }
    let mut shown = String::new();
    let mut width = 0;
    for character in text.chars() {
        let piece: String = if misleads(character) {
            character.escape_unicode().collect()
        } else {
            character.into()
        };
        width += piece.chars().count();
        if width >= WIDEST {
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
    }
    shown
}
