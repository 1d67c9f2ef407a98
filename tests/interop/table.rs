//! The committed table: every cell with `run` or `n/a: reason`, cells that differ in one thing alone in one row.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portcullis_netlab::{Firewall, Node, ServerKind};

use crate::cell::Cell;
use crate::client;

/// The columns in front of the status.
const COLUMNS: [&str; 9] = [
    "Firewall",
    "Client",
    "Client's mode",
    "Client over",
    "Upstream over",
    "Upstream's mode",
    "Operation",
    "Server",
    "Server's machine",
];

/// The column of the firewalls in [`COLUMNS`].
const FIREWALL: usize = 0;

/// The column of the clients in [`COLUMNS`].
const CLIENT: usize = 1;

/// The column of the servers in [`COLUMNS`].
const SERVER: usize = 7;

/// In which order columns are folded: the likeliest to agree first.
const FOLDS: [usize; 7] = [FIREWALL, SERVER, 4, 3, 6, 2, CLIENT];

/// What became of a cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Passed,
    Failed,
    NotRun,
    NotApplicable(&'static str),
}

impl Status {
    fn text(&self) -> String {
        match self {
            Self::Passed => "run".to_owned(),
            Self::Failed => "FAILED".to_owned(),
            Self::NotRun => "NOT RUN".to_owned(),
            Self::NotApplicable(reason) => format!("n/a: {reason}"),
        }
    }
}

/// One row: for each column the positions, in order of appearance, of the values that it stands for.
type Row = [Vec<usize>; 9];

/// Where the committed table is.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/TABLE.md")
}

/// The table of all cells.
pub fn render(cells: &[(Cell, Status)]) -> String {
    let mut names: [Vec<String>; 9] = Default::default();
    let mut rows: Vec<(Row, Status)> = Vec::new();
    for (cell, status) in cells {
        let values = [
            cell.firewall.name(),
            cell.client.name(),
            cell.mode.verb(),
            cell.family.name(),
            cell.upstream.name(),
            if cell.upstream_is_passive() {
                "passive"
            } else {
                "active"
            },
            cell.operation.name(),
            cell.server.name(),
            match cell.host {
                Node::Gateway => "the gateway's",
                Node::Client | Node::Server | Node::Attacker => "its own",
            },
        ];
        let row = std::array::from_fn(|column| vec![position(&mut names[column], values[column])]);
        rows.push((row, status.clone()));
    }
    for column in FOLDS {
        rows = fold(rows, column);
    }
    rows.sort();
    let not_applicable = |(_, status): &&(Cell, Status)| matches!(status, Status::NotApplicable(_));
    let absent = cells.iter().filter(not_applicable).count();
    let mut text = format!(
        "# Real servers and clients through the gateway\n\n\
         Written by `PORTCULLIS_BLESS=1 cargo test --test interop`; the test fails when what ran is not what stands here.\n\
         A row stands for every combination of the values in it. With `nftables` the gateway's machine has a firewall that drops\n\
         by default, with the one line of README, and the journal must say of each cell who carried its bytes. {} cells are run, {absent} are not applicable.\n\n",
        cells.len() - absent
    );
    let line = |fields: &[String]| format!("| {} |\n", fields.join(" | "));
    let heads: Vec<String> = COLUMNS
        .iter()
        .chain(&["Status"])
        .map(|head| (*head).to_owned())
        .collect();
    text.push_str(&line(&heads));
    text.push_str(&line(&vec!["---".to_owned(); heads.len()]));
    for (row, status) in rows {
        let mut fields: Vec<String> = row
            .iter()
            .zip(&names)
            .enumerate()
            .map(|(column, (some, all))| words(column, some, all))
            .collect();
        fields.push(status.text());
        text.push_str(&line(&fields));
    }
    text
}

/// The position of a value in a list, at whose end it is put if it is new.
fn position(list: &mut Vec<String>, value: &str) -> usize {
    list.iter()
        .position(|known| known == value)
        .unwrap_or_else(|| {
            list.push(value.to_owned());
            list.len() - 1
        })
}

/// Makes one row of those that differ in one column alone.
fn fold(rows: Vec<(Row, Status)>, column: usize) -> Vec<(Row, Status)> {
    let mut folded: BTreeMap<(Row, Status), Vec<usize>> = BTreeMap::new();
    for (mut row, status) in rows {
        let values = std::mem::take(&mut row[column]);
        folded.entry((row, status)).or_default().extend(values);
    }
    let unfold = |((mut row, status), mut values): ((Row, Status), Vec<usize>)| {
        values.sort_unstable();
        row[column] = values;
        (row, status)
    };
    folded.into_iter().map(unfold).collect()
}

fn words(column: usize, some: &[usize], all: &[String]) -> String {
    let everything = match column {
        FIREWALL => Firewall::BOTH.len(),
        CLIENT => client::ALL.len(),
        SERVER => ServerKind::ALL.len(),
        _ => usize::MAX,
    };
    if some.len() == everything {
        return "all".to_owned();
    }
    some.iter()
        .filter_map(|index| all.get(*index))
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
