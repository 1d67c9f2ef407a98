//! Flags as a layer over the file: both become the same tree, and only then a configuration.

use super::problem::Refusal;
use super::source::{Complaint, Entry, Node, Place, Value};

/// Holds what the command line says about the configuration; absent flags leave the file or the default alone.
///
/// With a file, `--listen`, `--advertise`, `--tls` and `--certificate` replace those of its only listener, `--upstream` and `--data-mode` those of its
/// only upstream; the others replace `pinholes.window`, `pinholes.firewall` and `journal.file`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`: where clients arrive.
    pub listen: Vec<String>,
    /// `--upstream`: the server, and others to dial when it fails.
    pub upstream: Vec<String>,
    /// `--window`: the ports of pinholes for clients.
    pub window: Option<String>,
    /// `--advertise`: the address that every client is told.
    pub advertise: Option<String>,
    /// `--journal`: a file, or `-` for standard output.
    pub journal: Option<String>,
    /// `--data-mode`: who dials data connections between gateway and upstream.
    pub data_mode: Option<String>,
    /// `--firewall`: which firewall is told about pinholes.
    pub firewall: Option<String>,
    /// `--tls`: how TLS with clients begins.
    pub tls: Option<String>,
    /// `--certificate`: the gateway's certificate.
    pub certificate: Option<String>,
    /// `--key`: its private key, where it is in a file of its own.
    pub key: Option<String>,
}

impl Flags {
    /// Tells whether no flag was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts the flags into the tree of a file in place of what it says there.
    pub(super) fn lay_over(&self, root: &mut Node) -> Result<(), Complaint> {
        if !self.listen.is_empty() {
            let name = only(root, "listeners", "main", "--listen")?;
            set(
                root,
                &["listeners", &name, "listen"],
                list("--listen", &self.listen),
            );
        }
        if let Some(address) = &self.advertise {
            let name = only(root, "listeners", "main", "--advertise")?;
            let mut entry = empty(Place::Flag("--advertise"));
            set(&mut entry, &["address"], scalar("--advertise", address));
            let entries = Node {
                value: Value::List(vec![entry]),
                ..scalar("--advertise", "")
            };
            set(root, &["listeners", &name, "advertise"], entries);
        }
        if !self.upstream.is_empty() {
            let name = only(root, "upstreams", "server", "--upstream")?;
            set(
                root,
                &["upstreams", &name, "addresses"],
                list("--upstream", &self.upstream),
            );
        }
        if let Some(mode) = &self.data_mode {
            let name = only(root, "upstreams", "server", "--data-mode")?;
            set(
                root,
                &["upstreams", &name, "data_mode"],
                scalar("--data-mode", mode),
            );
        }
        self.lay_tls_over(root)?;
        if let Some(window) = &self.window {
            set(root, &["pinholes", "window"], scalar("--window", window));
        }
        if let Some(firewall) = &self.firewall {
            set(
                root,
                &["pinholes", "firewall"],
                scalar("--firewall", firewall),
            );
        }
        if let Some(file) = &self.journal {
            let file = if file == "-" { "stdout" } else { file };
            set(root, &["journal", "file"], scalar("--journal", file));
        }
        Ok(())
    }

    fn lay_tls_over(&self, root: &mut Node) -> Result<(), Complaint> {
        if let Some(mode) = &self.tls {
            let name = only(root, "listeners", "main", "--tls")?;
            let path = ["listeners", &name, "tls", "mode"];
            set(root, &path, scalar("--tls", mode));
        }
        match (&self.certificate, &self.key) {
            (Some(chain), key) => {
                let name = only(root, "listeners", "main", "--certificate")?;
                let mut entry = empty(Place::Flag("--certificate"));
                set(&mut entry, &["chain"], scalar("--certificate", chain));
                let key = key.as_ref().map_or_else(
                    || scalar("--certificate", chain),
                    |key| scalar("--key", key),
                );
                set(&mut entry, &["key"], key);
                let entries = Node {
                    at: Place::Flag("--certificate"),
                    value: Value::List(vec![entry]),
                };
                set(root, &["listeners", &name, "tls", "certificates"], entries);
                Ok(())
            }
            (None, Some(_)) => {
                let refusal = Refusal::new("--key needs --certificate beside it");
                let help = "write `--certificate FILE --key FILE`; the key may be in the certificate's file";
                Err((Place::Flag("--key"), refusal.help(help)))
            }
            (None, None) => Ok(()),
        }
    }
}

/// Returns the tree of a configuration without a file, for which the flags have to say where from and where to.
pub(super) fn without_file(flags: &Flags) -> Result<Node, Complaint> {
    for (missing, flag) in [
        (flags.listen.is_empty(), "--listen"),
        (flags.upstream.is_empty(), "--upstream"),
    ] {
        if missing {
            let refusal = Refusal::new(format!("without a configuration file {flag} is needed"));
            return Err((Place::Whole, refusal.help("write `--listen 127.0.0.1:2121 --upstream 10.0.0.5:21`, or name a file with `--config FILE`")));
        }
    }
    let mut root = empty(Place::Whole);
    let version = Value::Scalar {
        text: "1".into(),
        plain: true,
    };
    set(
        &mut root,
        &["version"],
        Node {
            at: Place::Whole,
            value: version,
        },
    );
    Ok(root)
}

/// Returns the name of the only listener or upstream, `fallback` where there is none yet.
fn only(
    root: &Node,
    section: &str,
    fallback: &str,
    flag: &'static str,
) -> Result<String, Complaint> {
    match root.get(section).map(|node| &node.value) {
        Some(Value::Map(entries)) => match entries.as_slice() {
            [] => Ok(fallback.to_owned()),
            [only] => Ok(only.key.clone()),
            several => {
                let refusal = Refusal::new(format!(
                    "the file has {} {section}, and {flag} does not say which it means",
                    several.len()
                ));
                Err((
                    Place::Flag(flag),
                    refusal.help("change the file, or leave the flag away"),
                ))
            }
        },
        _ => Ok(fallback.to_owned()),
    }
}

fn empty(at: Place) -> Node {
    Node {
        at,
        value: Value::Map(Vec::new()),
    }
}

/// What a shell hands over is text as in quotes, so that an empty flag is not taken for an absent one.
fn scalar(flag: &'static str, text: &str) -> Node {
    Node {
        at: Place::Flag(flag),
        value: Value::Scalar {
            text: text.to_owned(),
            plain: false,
        },
    }
}

fn list(flag: &'static str, texts: &[String]) -> Node {
    let nodes = texts.iter().map(|text| scalar(flag, text)).collect();
    Node {
        at: Place::Flag(flag),
        value: Value::List(nodes),
    }
}

/// Sets what stands at `path` below `owner`. What is no map in the file stays as it is, for the reader to refuse.
fn set(owner: &mut Node, path: &[&str], node: Node) {
    let (Value::Map(entries), [key, rest @ ..]) = (&mut owner.value, path) else {
        return;
    };
    let known = entries.iter().position(|entry| entry.key == *key);
    let number = known.unwrap_or_else(|| {
        entries.push(Entry {
            key: (*key).to_owned(),
            key_at: node.at,
            node: empty(node.at),
        });
        entries.len() - 1
    });
    if let Some(entry) = entries.get_mut(number) {
        if rest.is_empty() {
            entry.node = node;
        } else {
            set(&mut entry.node, rest, node);
        }
    }
}
