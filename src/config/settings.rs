//! The sections that concern the whole gateway: pinholes, rules, limits, timeouts, journal, control.

use schemars::JsonSchema;
use serde::Serialize;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::choice::choice;
use super::mark::Mark;
use super::quantity::{FileMode, Percent, Rate};
use super::schema;
use super::window::PortRange;

/// How pinholes are opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, extend("additionalProperties" = false))]
pub struct Pinholes {
    /// Which firewall is told about pinholes.
    pub firewall: Firewall,
    /// The bit of the connection mark that every connection through a pinhole carries with `nftables`; a firewall that drops by default accepts it, and no range of ports.
    pub mark: Mark,
    /// The first of two NFLOG groups by which the kernel tells of used pinholes (this one) and of knocks at shut ports (the next) with `nftables`.
    #[schemars(range(max = 65534))]
    pub nflog_group: u16,
    /// The ports of pinholes for clients. One port serves many clients at once, so a small window is enough; keep it outside the kernel's ephemeral range.
    pub window: PortRange,
    /// The ports of pinholes for upstreams that dial the gateway (active mode); each transfer takes one.
    pub upstream_window: PortRange,
    /// How long a pinhole waits for its first use.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub ttl: Duration,
}

impl Default for Pinholes {
    fn default() -> Self {
        Self {
            firewall: Firewall::None,
            mark: Mark::DEFAULT,
            nflog_group: 2100,
            window: PortRange::CLIENT_WINDOW,
            upstream_window: PortRange::UPSTREAM_WINDOW,
            ttl: Duration::from_secs(30),
        }
    }
}

choice! {
    /// Which firewall is told about pinholes.
    pub enum Firewall {
        /// None: every data connection is relayed by this process.
        None = "none",
        /// The kernel's nftables: the windows are shut in the kernel, and it carries what needs no looking into.
        Nftables = "nftables",
    }
}

/// What clients may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, extend("additionalProperties" = false))]
pub struct Rules {
    /// The verdict where no rule has one.
    pub default: Verdict,
    /// The rule files, in order; the first verdict wins.
    pub files: Vec<RuleFile>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            default: Verdict::Allow,
            files: vec![RuleFile::Shipped("everything-but-dangerous")],
        }
    }
}

choice! {
    /// The verdict where no rule has one.
    pub enum Verdict {
        /// The command passes.
        Allow = "allow",
        /// The command is refused.
        Deny = "deny",
    }
}

/// The rule files that come with the program, by their names.
pub const SHIPPED_RULES: [&str; 10] = [
    "everything-but-dangerous",
    "anonymous-read-only",
    "upload-drop-box",
    "download-only",
    "jail-to-home",
    "legacy-strict",
    "business-hours",
    "cisco-strict",
    "ibm-i",
    "iis",
];

/// Where rules stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleFile {
    /// In a file that comes with the program: one of [`SHIPPED_RULES`].
    Shipped(&'static str),
    /// In a file of the administrator's.
    Path(PathBuf),
}

/// How much of everything there may be at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, extend("additionalProperties" = false))]
pub struct Limits {
    /// The most sessions at once.
    #[schemars(range(min = 1))]
    pub sessions: u32,
    /// The most sessions at once from one client address.
    #[schemars(range(min = 1))]
    pub sessions_per_address: u32,
    /// The most sessions at once of one user name that are logged in, or `none`; case does not count, and `ftp` is `anonymous`.
    #[serde(serialize_with = "schema::write_count_or_none")]
    #[schemars(schema_with = "schema::count_or_none")]
    pub sessions_per_user: Option<NonZeroU32>,
    /// The rate at which one client address may connect.
    pub connects_per_address: Rate,
    /// The longest command line, in bytes with its end.
    #[serde(serialize_with = "schema::write_size")]
    #[schemars(schema_with = "schema::size")]
    pub line: u64,
    /// The longest reply of an upstream, all its lines together, in bytes.
    #[serde(serialize_with = "schema::write_size")]
    #[schemars(schema_with = "schema::size")]
    pub reply: u64,
    /// The most commands of one session that wait for their reply.
    #[schemars(range(min = 1))]
    pub pipeline: u32,
    /// The rate at which one session may send commands.
    pub commands: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 8000,
            sessions_per_address: 64,
            sessions_per_user: None,
            connects_per_address: Rate::per_second(20),
            line: 4 << 10,
            reply: 64 << 10,
            pipeline: 64,
            commands: Rate::per_second(50),
        }
    }
}

/// How long everything may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, extend("additionalProperties" = false))]
pub struct Timeouts {
    /// From the client's connect to the end of its login.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub login: Duration,
    /// Without a command and without a transfer.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub idle: Duration,
    /// For one TCP connect of the gateway, control or data.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub connect: Duration,
    /// From the first use of a pinhole to the transfer command that needs it.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub command: Duration,
    /// For an upstream to dial an active data connection after the transfer command; long, because tapes and virus scanners are slow.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub upstream_dial: Duration,
    /// For a running transfer in which no byte moves.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub stall: Duration,
    /// From the end of the data to the upstream's final reply; long, because tapes and virus scanners are slow.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub final_reply: Duration,
    /// From the upstream's final reply to the end of the data.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub linger: Duration,
    /// For a peer that takes no byte of what waits for it.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub send_stall: Duration,
    /// For running transfers when the gateway is asked to stop.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub drain: Duration,
    /// Between TCP keepalive probes; below the idle time of cloud networks, of which the shortest is four minutes.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            login: seconds(60),
            idle: seconds(15 * 60),
            connect: seconds(10),
            command: seconds(30),
            upstream_dial: seconds(5 * 60),
            stall: seconds(5 * 60),
            final_reply: seconds(10 * 60),
            linger: seconds(10 * 60),
            send_stall: seconds(60),
            drain: seconds(10 * 60),
            keepalive: seconds(60),
        }
    }
}

/// Where the journal goes and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, extend("additionalProperties" = false))]
pub struct Journal {
    /// `stdout`, or the path of a file.
    pub file: JournalFile,
    /// The permissions of a journal file that the gateway makes, in octal and in quotes.
    pub mode: FileMode,
    /// The size at which a journal file is set aside and a new one begun.
    #[serde(serialize_with = "schema::write_size")]
    #[schemars(schema_with = "schema::size")]
    pub rotate_size: u64,
    /// How long journal files that were set aside are kept.
    #[serde(serialize_with = "schema::write_duration")]
    #[schemars(schema_with = "schema::duration")]
    pub keep: Duration,
    /// The share of free space on the journal's disk below which the log warns.
    pub warn_free: Percent,
    /// Whether the e-mail address that anonymous users give as password is recorded.
    pub anonymous_email: bool,
    /// How much of a client's address is recorded.
    pub addresses: RecordedAddresses,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            file: JournalFile::Stdout,
            mode: FileMode::new(0o640),
            rotate_size: 100 << 20,
            keep: Duration::from_secs(90 * 86_400),
            warn_free: Percent::new(10),
            anonymous_email: false,
            addresses: RecordedAddresses::Full,
        }
    }
}

/// Where the journal is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalFile {
    /// Standard output, one record a line.
    Stdout,
    /// A file.
    Path(PathBuf),
}

choice! {
    /// How much of a client's address is recorded.
    pub enum RecordedAddresses {
        /// All of it.
        Full = "full",
        /// The /24 (IPv4) or /64 (IPv6) that it is in.
        Prefix = "prefix",
    }
}

/// How a running gateway is asked and told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, extend("additionalProperties" = false))]
pub struct Control {
    /// The path of the Unix socket that `portcullis ctl` speaks to, or `none`.
    #[serde(serialize_with = "schema::write_path_or_none")]
    #[schemars(schema_with = "schema::path_or_none")]
    pub socket: Option<PathBuf>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            socket: Some(PathBuf::from(DEFAULT_SOCKET)),
        }
    }
}

/// The control socket of a gateway that was started with a configuration file.
pub const DEFAULT_SOCKET: &str = "/run/portcullis/control.sock";
