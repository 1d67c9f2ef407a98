//! The gateway's configuration: YAML and flags become a [`Config`], which is right once it exists.
//!
//! "Parse, don't validate": whoever holds a [`Config`] need not check it again. Every section has a type with its defaults.

pub mod advertise;
pub mod bundle;
mod consistency;
mod endpoint;
pub mod files;
mod flags;
mod listener;
mod load;
mod login_guard;
mod mark;
mod process;
mod reload;
mod schema;
mod settings;
mod tls;
mod upstream;
mod window;

use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crate::yaml::{name, problem, reader, section, source, suggest, wording};
use reader::Reader;
use source::{Bounds, Node};

pub use crate::yaml::{choice, quantity};
pub use advertise::{Advertise, AdvertisedAddress, Clients};
pub use endpoint::{FTP_PORT, Host, ListenAddress, UpstreamAddress};
pub use flags::Flags;
pub use listener::{BareLf, Check, DataSourcePort, ForeignAddress, Listener, Mode, PeerMatch};
pub use load::parse_network;
pub use login_guard::LoginGuard;
pub use mark::Mark;
pub use name::Name;
pub use problem::{ConfigErrors, Problem, Refusal, Severity};
pub use process::{Account, Process};
pub use quantity::{FileMode, Percent, Rate};
pub use settings::{
    Control, DEFAULT_SOCKET, Firewall, Journal, JournalFile, Limits, Pinholes, RecordedAddresses,
    RuleFile, Rules, SHIPPED_RULES, Timeouts, Verdict,
};
pub use tls::{
    CertificateFiles, ClientCertificates, ListenerTls, MissingCloseNotify, OwnCertificate, Pin,
    Resumption, TlsMode, TlsPolicy, TlsRequire, TlsVersion, TrustAnchors, UpstreamTls,
    UpstreamTlsMode, UserFrom, VerifyClients,
};
pub use upstream::{Anonymous, DataMode, PathGrammar, Source, Upstream};
pub use window::PortRange;

/// How large a configuration may be; a gateway with hundreds of listeners has a tenth of it.
const BOUNDS: Bounds = Bounds {
    longest: 1 << 20,
    longest_in_words: "1 MiB",
    most_nodes: 10_000,
    usual: "a configuration is a few hundred lines",
};

/// Configures a Portcullis gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct Config {
    /// The version of this format: 1.
    #[schemars(extend("const" = 1))]
    pub version: u32,
    /// Where clients arrive, by names that the journal repeats.
    #[schemars(extend("minProperties" = 1))]
    pub listeners: BTreeMap<Name, Listener>,
    /// The FTP servers behind the gateway, by names that listeners refer to.
    #[schemars(extend("minProperties" = 1))]
    pub upstreams: BTreeMap<Name, Upstream>,
    /// How pinholes are opened.
    #[schemars(default)]
    pub pinholes: Pinholes,
    /// What clients may do.
    #[schemars(default)]
    pub rules: Rules,
    /// How much of everything there may be at once.
    #[schemars(default)]
    pub limits: Limits,
    /// How logins are guarded against guessing.
    #[schemars(default)]
    pub login_guard: LoginGuard,
    /// How long everything may take.
    #[schemars(default)]
    pub timeouts: Timeouts,
    /// Where the journal goes and what it says.
    #[schemars(default)]
    pub journal: Journal,
    /// How a running gateway is asked and told.
    #[schemars(default)]
    pub control: Control,
    /// How the processes run.
    #[schemars(default)]
    pub process: Process,
}

/// Holds a configuration that can be used, and what is doubtful about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What probably does not do what was meant, in the order of the file.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// When the file can't be read, is longer than 1 MiB, or is wrong; all problems that can be told are in the error.
    pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
        Self::load_with(path, &Flags::default())
    }

    /// Reads a file and lets flags replace what it says ([`Flags`] tells which replaces what).
    ///
    /// # Errors
    /// As [`Config::load`], and when a flag is wrong or does not say which listener it means.
    pub fn load_with(path: &Path, flags: &Flags) -> Result<Loaded, ConfigErrors> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(BOUNDS.longest + 1).read_to_end(&mut bytes))
            .map_err(|error| ConfigErrors::Unreadable(format!("{name}: {error}")))?;
        let text = source::decode(&bytes, BOUNDS).map_err(|(place, refusal)| {
            let mut reader = Reader::new(&name, "", schema::homes);
            reader.error(place, "", refusal);
            wrong(reader)
        })?;
        Self::parse_with(text, &name, flags)
    }

    /// Reads the text of a file; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, name: &str) -> Result<Loaded, ConfigErrors> {
        Self::parse_with(text, name, &Flags::default())
    }

    fn parse_with(text: &str, name: &str, flags: &Flags) -> Result<Loaded, ConfigErrors> {
        let (root, complaints) = source::parse(text, BOUNDS);
        let mut reader = Reader::new(name, text, schema::homes);
        for (place, refusal) in complaints {
            reader.error(place, "", refusal);
        }
        Self::read(reader, root, flags)
    }

    /// Makes a configuration from flags alone; every other value is the default.
    ///
    /// Without a file there is no `/run/portcullis` either: the control socket is `portcullis/control.sock` in
    /// `runtime_dir` (the user's `$XDG_RUNTIME_DIR`), or none.
    ///
    /// # Errors
    /// When a flag is wrong, or `--listen` or `--upstream` is missing.
    pub fn from_flags(flags: &Flags, runtime_dir: Option<&Path>) -> Result<Loaded, ConfigErrors> {
        let mut reader = Reader::new("command line", "", schema::homes);
        let root = flags::without_file(flags)
            .map_err(|(place, refusal)| reader.error(place, "", refusal))
            .ok();
        let mut loaded = Self::read(reader, root, flags)?;
        loaded.config.control.socket = runtime_dir
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join("portcullis/control.sock"));
        Ok(loaded)
    }

    fn read(
        mut reader: Reader<'_>,
        root: Option<Node>,
        flags: &Flags,
    ) -> Result<Loaded, ConfigErrors> {
        let config = root.and_then(|mut root| {
            if let Err((place, refusal)) = flags.lay_over(&mut root) {
                reader.error(place, "", refusal);
            }
            load::config(&mut reader, &root)
        });
        match config {
            Some(config) if !reader.has_errors() => Ok(Loaded {
                config,
                warnings: reader.finish().0,
            }),
            _ => Err(wrong(reader)),
        }
    }

    /// Writes the configuration as YAML with every default; it reads back as the same configuration.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(self).unwrap_or_default()
    }

    /// Returns the JSON Schema of the file, pretty-printed.
    #[must_use]
    pub fn schema() -> String {
        format!("{:#}", schema::of_config().to_value())
    }

    /// Returns the upstream that a listener's sessions are carried to; the loader made sure that it exists.
    #[must_use]
    pub fn upstream_of(&self, listener: &Listener) -> Option<&Upstream> {
        self.upstreams.get(&listener.upstream)
    }
}

fn wrong(reader: Reader<'_>) -> ConfigErrors {
    let (problems, more) = reader.finish();
    ConfigErrors::Wrong { problems, more }
}
