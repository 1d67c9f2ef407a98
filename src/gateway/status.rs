//! What the control socket is asked and answers: one JSON line each way.
//!
//! These are the values; `control` carries them, and `portcullis ctl` shows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How the gateway is.
    Status,
    /// Which sessions run.
    Sessions,
    /// End a session now.
    Kill {
        /// The session's id.
        session: String,
    },
    /// Take no new sessions, let transfers finish, and stop.
    Drain,
    /// Read the config again.
    Reload,
    /// Which addresses are banned.
    Bans,
    /// Ban an address or a network.
    Ban {
        /// The address, an IPv4 /24 or an IPv6 /64.
        network: String,
        /// For how long, as in the config (`90m`); else for the time of `login_guard.ban`.
        #[serde(default, rename = "for")]
        time: Option<String>,
    },
    /// Lift a ban.
    Unban {
        /// The address or network, or `all`.
        address: String,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To `status`.
    Status(Box<StatusReport>),
    /// To `sessions`, oldest first.
    Sessions(Vec<SessionReport>),
    /// To `kill`: the session that is being ended.
    Killed(String),
    /// To `drain`: how many sessions still run.
    Draining(u64),
    /// To `reload`.
    Reloaded(ReloadReport),
    /// To `bans`, those that end first first.
    Bans(Vec<BanReport>),
    /// To `ban`: the ban.
    Banned(BanReport),
    /// To `unban`: whose bans were lifted.
    Unbanned(Vec<String>),
    /// To anything: why it was not done.
    Error(String),
}

/// How the gateway is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The program's version.
    pub version: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Whether no new sessions are taken.
    pub draining: bool,
    /// Where clients arrive.
    pub listeners: Vec<ListenerReport>,
    /// Sessions that run.
    pub sessions: u64,
    /// Transfers whose bytes are being carried.
    pub transfers: u64,
    /// Pinholes that are open and not used yet.
    pub pinholes: u64,
    /// The journal.
    pub journal: JournalReport,
    /// Our certificates; none without TLS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateReport>,
    /// What keeps pinholes shut to strangers: `nftables`; without it `socket_filter`, or `accept_and_reset` where the kernel
    /// refuses filters.
    pub guard: String,
    /// `pinholes.firewall`.
    pub firewall: String,
    /// Who is who.
    pub process: ProcessReport,
    /// How the gateway's process is confined; none with `firewall: none`, where it has no privilege to begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// How logins are guarded.
    #[serde(default)]
    pub login_guard: LoginGuardReport,
    /// What rules and checks that only observe would have done since the start, by name.
    #[serde(default)]
    pub observed: Vec<ObservedReport>,
}

/// How logins are guarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginGuardReport {
    /// Addresses that are banned.
    pub bans: u64,
    /// Refused logins that were forgotten before their time, because there were too many.
    pub forgotten: u64,
}

/// A banned address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BanReport {
    /// The address, of IPv6 its /64; or an IPv4 /24 that an operator banned.
    pub address: String,
    /// When it was banned (RFC 3339); none when an earlier process of the gateway did that.
    pub since: Option<String>,
    /// When that ends (RFC 3339).
    pub until: String,
    /// How many refused logins led to it; none when an earlier process counted them, or an operator ordered it.
    pub failures: Option<u32>,
    /// Whether an operator ordered it; not known of one that an earlier process made.
    #[serde(default)]
    pub by_operator: bool,
    /// Whether the kernel drops its packets.
    pub in_kernel: bool,
    /// How many of its connections the gateway itself turned away.
    pub turned_away: u64,
}

/// The processes of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// The process that talks to peers.
    pub gateway: u32,
    /// The process that may touch the firewall, where there is one.
    pub broker: Option<u32>,
}

/// How often a rule or a check that only observes would have done something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedReport {
    /// The rule with its file, or the check's name.
    pub what: String,
    /// What it would have done.
    pub would: String,
    /// How often.
    pub count: u64,
}

/// One socket of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerReport {
    /// The listener's name.
    pub name: String,
    /// Its address and port.
    pub address: String,
}

/// How the journal is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalReport {
    /// Whether records are being written; without that nothing is opened.
    pub accepting: bool,
    /// Records since the start.
    pub records: u64,
    /// Records that were lost; no effect waited for them.
    pub lost: u64,
}

/// How long one of our certificates lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateReport {
    /// Its file.
    pub file: String,
    /// Whole days until its end.
    pub days_left: u64,
    /// Seconds until its end; below 0 when it is over.
    pub seconds_left: i64,
}

/// What a session is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Its id.
    pub id: String,
    /// The listener where it came in.
    pub listener: String,
    /// The client's address and port.
    pub client: String,
    /// The user name as the client gave it (escaped), once it did.
    pub user: Option<String>,
    /// The upstream's name.
    pub upstream: String,
    /// What it is doing: `connecting`, `logging_in`, `idle`, `transferring` or `closing`.
    pub state: String,
    /// Seconds since it began.
    pub age_seconds: u64,
    /// The verb whose transfer runs.
    pub command: Option<String>,
    /// Commands that the client has sent.
    pub commands: u64,
    /// Transfers that ended well.
    pub transfers: u32,
    /// Bytes of file data that the gateway carried so far, both directions together; not what the kernel carried.
    pub bytes: u64,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Digest of the config that is in force now.
    pub config: String,
    /// Keys whose change waits for a restart.
    pub needs_restart: Vec<String>,
}

/// Counts of what is under way, kept by those who do it.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    transfers: AtomicU64,
    pinholes: AtomicU64,
}

impl Gauges {
    pub(super) fn transfer(self: &Arc<Self>) -> Gauge {
        Gauge::new(self, |gauges| &gauges.transfers)
    }

    pub(super) fn pinhole(self: &Arc<Self>) -> Gauge {
        Gauge::new(self, |gauges| &gauges.pinholes)
    }

    pub(super) fn transfers(&self) -> u64 {
        self.transfers.load(Ordering::Relaxed)
    }

    pub(super) fn pinholes(&self) -> u64 {
        self.pinholes.load(Ordering::Relaxed)
    }
}

/// Counts as one until it is dropped.
#[derive(Debug)]
pub(super) struct Gauge {
    gauges: Arc<Gauges>,
    which: fn(&Gauges) -> &AtomicU64,
}

impl Gauge {
    fn new(gauges: &Arc<Gauges>, which: fn(&Gauges) -> &AtomicU64) -> Gauge {
        which(gauges).fetch_add(1, Ordering::Relaxed);
        Gauge {
            gauges: Arc::clone(gauges),
            which,
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        (self.which)(&self.gauges).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_counts_until_it_is_dropped() {
        let gauges = Arc::new(Gauges::default());
        let (first, second) = (gauges.transfer(), gauges.transfer());
        let _pinhole = gauges.pinhole();
        assert_eq!((gauges.transfers(), gauges.pinholes()), (2, 1));
        drop((first, second));
        assert_eq!((gauges.transfers(), gauges.pinholes()), (0, 1));
    }

    #[test]
    fn requests_are_small_json_objects() {
        let kill: Request =
            serde_json::from_str(r#"{"ask":"kill","session":"abc"}"#).expect("a request");
        assert_eq!(
            kill,
            Request::Kill {
                session: "abc".to_owned()
            }
        );
        assert_eq!(
            serde_json::to_string(&Request::Status).expect("text"),
            r#"{"ask":"status"}"#
        );
        assert!(serde_json::from_str::<Request>(r#"{"ask":"explode"}"#).is_err());
    }
}
