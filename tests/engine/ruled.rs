//! The transcripts' settings that concern rules: rules in YAML, one to a line, and what goes with them.

use std::sync::{Arc, LazyLock};

use portcullis::engine::{Check, Guest, Passwords, Settings};
use proptest::prelude::*;
use proptest::sample::select;

use portcullis::policy::{Default as DefaultVerdict, Grammar, RuleSet, Source, Surroundings};

/// Rules under which random dialogues take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum House {
    /// By paths, so that the server is asked where the session is.
    Paths,
    /// By sizes, modes and verbs; with limits, and what is hidden.
    Limits,
    /// By names, so that the gateway answers logins; with guards.
    Names,
    /// By asking somebody about logins, files, and one command that is neither.
    Asks,
}

impl House {
    pub fn rules(self) -> Arc<RuleSet> {
        static PATHS: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
            made(&[
                r#"{name: try, when: {operation: [write]}, then: {deny: "550 No.", observe: true}}"#,
                r#"{name: secret, when: {path: ["/secret/**"]}, then: {deny: "550 Not there."}}"#,
                r#"{name: no-site, when: {operation: [site, execute, unknown]}, then: {deny: "550 No."}}"#,
                r#"{name: chmod, when: {site: [CHMOD]}, then: {deny: "550 No."}}"#,
            ])
        });
        static LIMITS: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
            made(&[
                r#"{name: slow, then: {limit: {download: 1000B/s, transfer_bytes: 1KiB, session_bytes: 2KiB}}}"#,
                r#"{name: quiet, then: {hide: {banner: true, syst: true, help: true, stat: true, feat: [MLST]}}}"#,
                r#"{name: big, when: {operation: [append], size: {over: 1KiB}}, then: {deny: "552 Too big."}}"#,
                r#"{name: closing, when: {verb: [SITE]}, then: {close: "530 Not here."}}"#,
                r#"{name: unknown, when: {operation: [unknown]}, then: {deny: "502 No."}}"#,
                r#"{name: active, when: {data_mode: {client: active}}, then: {deny: "502 Use passive mode."}}"#,
            ])
        });
        static NAMES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
            made(&[
                r#"{name: nobody, when: {user: [anonymous]}, then: {deny: "530 Not you."}}"#,
                r#"{name: no-password, when: {user: [root], verb: [PASS]}, then: {deny: "530 No."}}"#,
                r#"{name: reads, when: {user: [bob], operation: [delete]}, then: {deny: "550 No."}}"#,
            ])
        });
        static ASKS: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
            made(&[
                r#"{name: try, when: {operation: [write]}, then: {deny: "550 No.", observe: true}}"#,
                r#"{name: login, when: {verb: [PASS]}, then: {ask: {unix: /run/one}}}"#,
                r#"{name: late, when: {operation: [write], data_mode: {client: passive}}, then: {ask: {unix: /run/two, timeout: 1s}}}"#,
                r#"{name: type, when: {verb: [TYPE, PASV]}, then: {ask: {exec: [/bin/type]}}}"#,
                r#"{name: files, then: {ask: {exec: [/bin/decide, --all]}}}"#,
            ])
        });
        match self {
            House::Asks => Arc::clone(&ASKS),
            House::Names => Arc::clone(&NAMES),
            House::Paths => Arc::clone(&PATHS),
            House::Limits => Arc::clone(&LIMITS),
        }
    }
}

fn made(list: &[&str]) -> Arc<RuleSet> {
    let list: Vec<String> = list.iter().map(|rule| (*rule).to_owned()).collect();
    rules(&list).expect("good rules")
}

/// Mostly the default rules.
pub fn house() -> impl Strategy<Value = Option<House>> {
    proptest::option::weighted(
        0.2,
        select(vec![House::Paths, House::Limits, House::Names, House::Asks]),
    )
}

/// Makes the settings' rules of these, in the order in which they stand.
pub fn rules(list: &[String]) -> Result<Arc<RuleSet>, String> {
    let mut text = "version: 1\nrules:\n".to_owned();
    for rule in list {
        text.push_str(&format!("  - {rule}\n"));
    }
    let source = Source {
        name: "house.yaml",
        bytes: text.as_bytes(),
    };
    let loaded = RuleSet::load(DefaultVerdict::Allow, &[source], Surroundings::default());
    loaded
        .map(|loaded| Arc::new(loaded.rules))
        .map_err(|error| error.to_string())
}

/// Changes a setting; says which there is none of.
pub fn set(
    settings: &mut Settings,
    list: &mut Vec<String>,
    key: &str,
    value: &str,
) -> Result<(), String> {
    match (key, value) {
        ("rule", rule) => {
            list.push(rule.to_owned());
            settings.rules = rules(list)?;
        }
        ("paths", grammar) => {
            settings.paths = Some(match grammar {
                "unix" => Grammar::Unix,
                "windows" => Grammar::Windows,
                "ibm_i" => Grammar::IbmI,
                "mvs" => Grammar::Mvs,
                "vms" => Grammar::Vms,
                _ => return Err(format!("no such grammar: {grammar}")),
            });
        }
        ("observe", check) => {
            settings.observe = std::iter::once(match check {
                "bare_lf" => Check::BareLf,
                "unknown_verb" => Check::UnknownVerb,
                "foreign_address" => Check::ForeignAddress,
                "low_port" => Check::LowPort,
                "argument" => Check::Argument,
                "epsv_all" => Check::EpsvAll,
                _ => return Err(format!("no such check: {check}")),
            })
            .collect();
        }
        ("guest", words) => {
            let words: Vec<&str> = words.split(' ').collect();
            let (account, password, start_in) = match words.as_slice() {
                [account, password] => (account, password, None),
                [account, password, start_in] => (account, password, Some(start_in)),
                _ => return Err("@set guest ACCOUNT PASSWORD [DIRECTORY]".to_owned()),
            };
            settings.guest = Some(Arc::new(Guest {
                account: account.as_bytes().into(),
                password: password.as_bytes().into(),
                start_in: start_in.map(|directory| directory.as_bytes().into()),
            }));
        }
        ("password", words) => {
            let (path, password) = words.split_once(' ').ok_or("@set password PATH WORD")?;
            let mut passwords = Passwords::clone(&settings.passwords);
            passwords
                .0
                .insert(path.to_owned(), password.as_bytes().into());
            settings.passwords = Arc::new(passwords);
        }
        // Another upstream, with all that was set so far.
        ("elsewhere", name) => {
            let mut there = settings.clone();
            there.elsewhere.clear();
            there.upstream = Arc::from(name);
            settings.elsewhere.insert(Arc::from(name), Arc::new(there));
        }
        _ => return Err(format!("no such setting: {key} {value}")),
    }
    Ok(())
}
