//! Rule files of any bytes: loaded or refused, and what was loaded decides.

use portcullis::policy::{
    Asked, Circumstances, DataFacts, Default, Directory, Grammar, LegMode, Moment, Paths, Request,
    RuleSet, Source, Surroundings, Words,
};
use portcullis::rules::{failed_examples, is_rule_file};
use portcullis::yaml::problem::{ConfigErrors, Severity};

const LINES: [&[u8]; 8] = [
    b"RETR /a/../b",
    b"STOR x",
    b"LIST -R *",
    b"SITE CHMOD 777 x",
    b"XYZZY \xFF",
    b"USER bob",
    b"NOOP",
    b"STAT .?[x",
];

/// A file is taken or refused with a reason and a remedy; by what was taken every request is decided, with and without
/// the index alike, and what is denied always is denied.
pub fn rules(data: &[u8]) {
    let _ = is_rule_file(data);
    let source = Source {
        name: "fuzz.yaml",
        bytes: data,
    };
    let loaded = match RuleSet::load(Default::Allow, &[source], Surroundings::default()) {
        Ok(loaded) => loaded,
        Err(ConfigErrors::Wrong { problems, .. }) => {
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.severity == Severity::Error)
            );
            assert!(
                problems.iter().all(|problem| problem.help.is_some()),
                "{problems:?}"
            );
            return;
        }
        Err(ConfigErrors::Unreadable(why)) => panic!("nothing was read from a disk: {why}"),
    };
    let _ = failed_examples(&loaded);
    for grammar in [
        Grammar::Unix,
        Grammar::Windows,
        Grammar::IbmI,
        Grammar::Mvs,
        Grammar::Vms,
    ] {
        let paths = Paths::Stated(grammar);
        let cwd = ["/a", "'A.B.'", "LIB", "D:[A]"]
            .iter()
            .find_map(|cwd| Directory::stated(paths, cwd));
        let session = Circumstances {
            client: Some([192, 0, 2, 7].into()),
            user: Some(b"CORP\\bob"),
            logged_in: true,
            paths: Some(paths),
            cwd: cwd.as_ref(),
            at: Some(0),
            ..Circumstances::default()
        };
        let data = DataFacts {
            client: LegMode::Passive,
            upstream: LegMode::Passive,
            tls: false,
        };
        // Bytes of the file are a path too.
        let name: Vec<u8> = [b"RETR ", source.bytes.get(..64).unwrap_or(source.bytes)].concat();
        for line in LINES.iter().copied().chain([name.as_slice()]) {
            let command = Words::of(line);
            for asked in [
                Asked::Connection,
                Asked::Command(command),
                Asked::Transfer {
                    command,
                    data,
                    size: None,
                },
            ] {
                let request = Request { session, asked };
                let (quick, naive) = (
                    loaded.rules.decide(&request),
                    loaded.rules.decide_by_all(&request),
                );
                assert_eq!(format!("{quick:?}"), format!("{naive:?}"));
                let explained = loaded.rules.explain(&request);
                assert_eq!(explained.decision.verdict, quick.verdict);
                assert!(asked.moment() != Moment::Connection || explained.path.is_none());
            }
        }
    }
}
