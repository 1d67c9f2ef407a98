//! Somebody removes all tables in the middle of a transfer, ours too.

use crate::site::{EXPIRY, FILTER, NAT, ROOMY, Site, nft};

/// A flow whose table was away may look fine and be blocked, or run on unseen: it is ended, and said to be.
fn is_told(before: &str, flush: &str) {
    let site = Site::new(ROOMY);
    nft(&site.lab, before);
    site.works();
    let mut idle = site.client();
    let down = site.downloading();
    let up = site.uploading("cut");
    nft(&site.lab, flush);
    let others = site.others();
    for half in [down, up] {
        let mut client = half.finds_a_reset();
        client.hears("426");
        // Its session goes on.
        client.asks("NOOP", "200");
    }
    idle.asks("NOOP", "200");
    site.journal_tells("transfer.failed", "\"command\":\"RETR\"");
    site.journal_tells("transfer.failed", "\"command\":\"STOR\"");
    site.server_keeps(3);
    site.works();
    site.empties(EXPIRY);
    assert_eq!(site.others(), others);
}

#[test]
fn a_bare_flush_ends_transfers_with_426() {
    is_told("", "flush ruleset\n");
}

/// As `systemctl reload nftables` does it.
#[test]
fn a_reload_of_the_operators_filter_ends_transfers_with_426() {
    is_told("", &format!("flush ruleset\n{FILTER}"));
}

/// The kernel's address translation stays registered then.
#[test]
fn a_reload_with_address_translation_ends_transfers_with_426() {
    is_told(NAT, &format!("flush ruleset\n{FILTER}{NAT}"));
}
