//! The transcripts' settings that concern rules: rules in YAML, one to a line, and what goes with them.

use std::sync::Arc;

use portcullis::engine::{Check, Guest, Settings};
use portcullis::policy::{Default as DefaultVerdict, Grammar, RuleSet, Source, Surroundings};

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
        _ => return Err(format!("no such setting: {key} {value}")),
    }
    Ok(())
}
