//! A decision allocates nothing as long as no rule matches: counted by the allocator itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis::policy::{
    Asked, Circumstances, Default, Directory, Grammar, Paths, Request, RuleSet, Source,
    Surroundings, Verdict, Words,
};

/// Counts how often memory is asked for.
struct Counting;

static ASKED: AtomicUsize = AtomicUsize::new(0);

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; all of it is handed to the system's"
)]
// SAFETY: every call goes to the system's allocator with what the caller vouched for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated_when_nothing_matches() {
    let mut text = "version: 1\nrules:\n".to_owned();
    for number in 0..200 {
        text.push_str(&format!(
            "  - {{name: p{number}, when: {{path: ['/d{number}/**', '**/x{number}', '/{{user}}/y']}}, then: {{deny: '550 no'}}}}\n"
        ));
    }
    let source = Source {
        name: "rules.yaml",
        bytes: text.as_bytes(),
    };
    let rules = RuleSet::load(Default::Allow, &[source], Surroundings::default())
        .unwrap_or_else(|errors| panic!("{errors}"))
        .rules;
    let paths = Paths::Stated(Grammar::Unix);
    let cwd = Directory::stated(paths, "/home/bob/some/where");
    let count = |paths, line: &str| {
        let session = Circumstances {
            client: Some([192, 0, 2, 7].into()),
            user: Some(b"CORP\\bob"),
            logged_in: true,
            paths: Some(paths),
            cwd: cwd.as_ref(),
            ..Circumstances::default()
        };
        let request = Request {
            session,
            asked: Asked::Command(Words::of(line.as_bytes())),
        };
        let before = ASKED.load(Ordering::Relaxed);
        let decision = rules.decide(&request);
        let asked = ASKED.load(Ordering::Relaxed) - before;
        (asked, decision.verdict == Verdict::Allow)
    };
    for line in [
        "RETR file",
        "STOR ../../file.bin",
        "LIST -la *.txt",
        "CWD a/b/c/d",
        "NOOP",
        "USER bob",
        "SITE HELP",
    ] {
        for paths in [
            paths,
            Paths::Presumed(Grammar::Unix),
            Paths::Stated(Grammar::Windows),
        ] {
            assert_eq!(count(paths, line), (0, true), "{line}");
        }
    }
    // The count sees what is there: a denial has a reply of its own.
    assert!(count(paths, "RETR /d7/file").0 > 0);
}
