//! `kill -9`, in the middle of transfers and of openings.

use crate::program::Program;
use crate::site::{EXPIRY, NAT, ROOMY, Site, nft};

/// What every death leaves: transfers that the kernel carries, a clean table, and other people's tables as they were.
fn survives(kill: impl FnOnce(&mut Site)) {
    let mut site = Site::new(ROOMY);
    nft(&site.lab, NAT);
    let before = site.others();
    site.works();
    let (down, up) = (site.downloading(), site.uploading("kept"));
    let openers = site.openers();
    kill(&mut site);
    // At once: nobody waits for a second try.
    site.works();
    openers.opened_more(10);
    openers.stop();
    down.finishes(&site);
    up.finishes(&site);
    site.empties(EXPIRY);
    assert_eq!(site.others(), before);
    site.works();
}

#[test]
fn transfers_survive_the_gateways_death() {
    survives(|site| {
        let gateway = site.program.gateway();
        site.program.kill(gateway);
        Program::gone(gateway);
    });
}

#[test]
fn transfers_survive_the_brokers_death() {
    survives(|site| {
        site.program.kill_broker();
        site.program = site.program.start_again();
    });
}

#[test]
fn transfers_survive_the_death_of_both() {
    survives(|site| {
        let gateway = site.program.gateway();
        site.program.kill_broker();
        site.program.kill(gateway);
        site.program = site.program.start_again();
    });
}
