//! `TABLE.md`: which cells there are, and why others can't be. Written with `PORTCULLIS_BLESS=1`, else compared.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::cell::{Cell, Firewall, SERVERS, all};
use crate::client::{Client, Mode, Version};
use crate::site::Upstream;

const HEAD: &str = "# FTPS with real clients and servers\n\n\
    Written by `PORTCULLIS_BLESS=1 cargo test --test ftps table`; that test fails when the cells are not those that stand here.\n\
    A row stands for every server, leg behind and firewall in the line above the table: each combination is a session with fifty transfers that\n\
    are compared byte by byte, and whose journal has to show the version, the resumption and who carried the data. `require`: the listener demands that\n\
    data connections resume. vsftpd and ProFTPD demand it of the gateway too; Pure-FTPd can't.\n";

/// The table as the cells are.
fn table() -> String {
    let cells: Vec<Cell> = Firewall::ALL.into_iter().flat_map(all).collect();
    let impossible = cells.iter().filter(|cell| cell.not_applicable().is_some());
    let impossible = impossible.count();
    let names = |names: Vec<&str>| names.join(", ");
    let mut text = String::from(HEAD);
    let _ = write!(
        text,
        "\n{} cells are run, {impossible} are not applicable. Servers: {}. Behind: {}. Firewalls: {}.\n\n\
         | Client | Mode | TLS | Transfers | Resumption | Status |\n| --- | --- | --- | --- | --- | --- |\n",
        cells.len() - impossible,
        names(SERVERS.map(|server| server.name()).to_vec()),
        names(Upstream::ALL.map(Upstream::name).to_vec()),
        names(Firewall::ALL.map(Firewall::name).to_vec()),
    );
    let each = SERVERS.len() * Upstream::ALL.len() * Firewall::ALL.len();
    for client in Client::ALL {
        for mode in Mode::ALL {
            for version in Version::ALL {
                let of_row: Vec<&Cell> = cells
                    .iter()
                    .filter(|cell| {
                        (cell.client, cell.mode, cell.version) == (client, mode, version)
                    })
                    .collect();
                assert_eq!(of_row.len(), each, "a row that is not whole");
                let status = match of_row.first().and_then(|cell| cell.not_applicable()) {
                    None => "run".to_owned(),
                    Some(why) => format!("n/a: {why}"),
                };
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {status} |",
                    client.name(),
                    mode.verb(),
                    version.name(),
                    if client.uploads() {
                        "25 up, 25 down"
                    } else {
                        "50 down"
                    },
                    of_row
                        .first()
                        .map_or("", |cell| cell.listener().resumption.name()),
                );
            }
        }
    }
    text
}

#[test]
fn the_table_shows_the_cells_as_they_are() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ftps/TABLE.md");
    let table = table();
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::write(&path, &table).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == table,
        "tests/ftps/TABLE.md is another; PORTCULLIS_BLESS=1 writes it anew"
    );
}
