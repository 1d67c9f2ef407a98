//! The engine between a simulated client and a simulated server, seed by seed, beside the naive reference.
//!
//! A run is a function of its seed: script, personality, latency, chunks and data mode come out of it. When a run fails,
//! its seed and everything that was said are printed; `PORTCULLIS_SEED` runs that one alone.

pub mod client;
mod data;
mod dice;
pub mod script;
pub mod server;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use portcullis::engine::{DataMode, TlsMode, TlsRequire};

use self::client::Client;
use self::dice::Dice;
use self::script::{NAMES, Step};
use self::server::{Disk, PERSONALITIES, Server};
use self::world::World;
use crate::moves::Place;
use crate::reference::Reference;
use crate::stage;
use crate::watch::Count;

const SEEDS: u64 = 6000;

/// How far a run came.
#[derive(Debug, Default)]
struct Run {
    steps: usize,
    cut_short: bool,
    count: Count,
}

fn run(seed: u64) -> Run {
    let mut dice = Dice::new(seed);
    let mut place = Place::plain();
    place.client_ipv6 = dice.one_in(4);
    let facts = place.facts();
    let mut settings = stage::settings();
    settings.data_mode = dice.pick(&[DataMode::AsClient, DataMode::Passive, DataMode::Active]);
    let (client_tls, upstream_tls) = (dice.one_in(3), dice.one_in(3));
    if client_tls {
        settings.client_tls.mode = TlsMode::Explicit;
        settings.client_tls.require = TlsRequire::Login;
    }
    let mut before = 0;
    if upstream_tls {
        settings.upstream_tls.mode = TlsMode::Explicit;
        // AUTH, PBSZ and PROT come before the client's first line.
        before = 3;
    }
    let mut personality = dice.pick(&PERSONALITIES);
    personality.hangs_up = dice.one_in(6).then(|| before + 1 + dice.below(12) as u32);
    let disk: Disk = [
        (NAMES[0], "first file, longer"),
        (NAMES[1], "second"),
        (NAMES[2], ""),
    ]
    .map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()))
    .into();
    let steps = script::script(&mut dice, place.client_ipv6, client_tls);
    let mut reference = Reference::new(disk.clone(), personality, settings.data_mode, client_tls);
    let client = Client::new(facts.client, facts.target, steps.clone());
    let mut world = World::new(
        dice,
        facts,
        settings,
        client,
        Server::new(personality, disk),
    );
    let judged = catch_unwind(AssertUnwindSafe(|| {
        world.run();
        judge(&world, &steps, &mut reference)
    }));
    judged.unwrap_or_else(|panic| {
        println!("seed {seed}, {}, {steps:#?}", personality.name);
        world.log.iter().for_each(|line| println!("{line}"));
        resume_unwind(panic)
    })
}

fn judge(world: &World, steps: &[Step], reference: &mut Reference) -> Run {
    let views = &world.client.views;
    let mut result = Run {
        count: world.watch.count,
        ..Run::default()
    };
    assert_eq!(world.holes(), 0, "pinholes are left");
    assert_eq!(views[0].finals, ["220 ready"], "the greeting");
    let mut holes = 0;
    for (step, view) in steps.iter().zip(&views[1..]) {
        let cut_short = view
            .finals
            .last()
            .is_none_or(|reply| reply.starts_with("421"));
        if cut_short {
            let expected = world.server.personality.hangs_up.is_some();
            assert!(expected, "the session broke at {step:?}: {view:?}");
            result.cut_short = true;
            return result;
        }
        let expected = reference.step(step);
        holes += expected.holes;
        if let Some(difference) = expected.difference(view) {
            panic!("{step:?}: {difference}");
        }
        result.steps += 1;
    }
    assert_eq!(result.steps, steps.len(), "steps are missing");
    assert_eq!(
        world.watch.count.opened, holes,
        "pinholes that nobody needed, or too few"
    );
    let kept = |disk: &Disk| {
        let mut kept = disk.clone();
        kept.remove("scratch");
        kept
    };
    assert_eq!(
        kept(&world.server.disk),
        kept(&reference.disk),
        "the server's disk"
    );
    let asked = world
        .server
        .lines
        .iter()
        .filter(|line| line.starts_with("AUTH"));
    assert_eq!(
        asked.count(),
        usize::from(result.count.secured > 0 && world.secures_upstream)
    );
    for denied in ["SITE", "P@SW", "XYZZY"] {
        let seen = world
            .server
            .lines
            .iter()
            .any(|line| line.starts_with(denied));
        assert!(!seen, "the server saw {denied}");
    }
    result
}

#[test]
fn clients_see_through_the_gateway_what_the_reference_says() {
    if let Some(seed) = std::env::var("PORTCULLIS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        println!("{:?}", run(seed));
        return;
    }
    let (mut steps, mut cut_short, mut rows) = (0, 0, [0; 4]);
    let (mut completed, mut aborted, mut resumed) = (0, 0, 0);
    let (mut forwarded, mut taken_back, mut private) = (0, 0, 0);
    for seed in 0..SEEDS {
        let run = run(seed);
        steps += run.steps;
        cut_short += u32::from(run.cut_short);
        completed += run.count.completed;
        aborted += run.count.aborted;
        resumed += run.count.resumed;
        forwarded += run.count.forwarded;
        taken_back += run.count.taken_back;
        private += run.count.private;
        for (row, seen) in rows.iter_mut().zip(run.count.rows) {
            *row += seen;
        }
    }
    println!(
        "{SEEDS} seeds: {steps} steps, {completed} transfers completed, {aborted} aborted, {resumed} resumed, {forwarded} forwarded and {taken_back} of them relayed instead, {private} private, legs {rows:?}, {cut_short} sessions cut short"
    );
    assert!(
        forwarded > 1500 && taken_back > 50,
        "{forwarded} {taken_back}"
    );
    assert!(private > 2000, "{private}");
    assert!(completed > 4000 && aborted > 400 && resumed > 200 && cut_short > 200);
    assert!(rows.iter().all(|row| *row > 500), "{rows:?}");
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in 0..50 {
        assert_eq!(format!("{:?}", run(seed)), format!("{:?}", run(seed)));
    }
}
