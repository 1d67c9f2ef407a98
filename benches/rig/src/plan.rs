//! The tests: their names, their work, their figures.

use std::net::SocketAddr;

use crate::load::job::{Job, Mode, Work};

/// One test of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name on the command line and in the table.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// Whether clients speak TLS; the server behind never does.
    pub tls: bool,
}

/// The kinds of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Large files, `sessions` at once.
    Bulk {
        /// Uploads instead of downloads.
        upload: bool,
        /// Transfers at once.
        sessions: usize,
    },
    /// Files of 1 KiB, one after another in each session.
    Files {
        /// Sessions at once.
        sessions: usize,
        /// PORT instead of PASV.
        active: bool,
    },
    /// NOOP and its reply.
    Noop {
        /// Sessions at once.
        sessions: usize,
    },
    /// Connect, USER, PASS, QUIT; 16 at once.
    Logins,
    /// Memory of sessions at rest.
    Rest {
        /// Sessions at rest.
        idle: usize,
    },
    /// 1,500 transfers of 1 MiB at once.
    Burst,
    /// Files of 1 KiB in 16 sessions while others are open and idle.
    Scale {
        /// Sessions that are idle.
        idle: usize,
    },
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Some five minutes in all.
    Quick,
    /// Some twenty-five minutes in all.
    Full,
}

/// A figure that a test yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Payload in GB (10^9 bytes) per second.
    Throughput,
    /// Gateway's processor seconds per GiB.
    GatewayPerGib,
    /// All processor seconds of the machine per GiB.
    RigPerGib,
    /// Operations per second.
    Rate,
    /// Median time of an operation in microseconds.
    P50,
    /// 99th percentile of the time of an operation in microseconds.
    P99,
    /// Gateway's processor microseconds per operation.
    GatewayPerOperation,
    /// All processor microseconds of the machine per operation.
    RigPerOperation,
    /// PSS over the process at rest, in KiB per session.
    PssPerSession,
    /// Kernel memory over the process at rest, in KiB per session.
    KernelPerSession,
    /// Transfers that completed.
    Completed,
    /// Seconds until all was done.
    Wall,
    /// Gateway's processor seconds in all.
    GatewayTotal,
}

macro_rules! tests {
    ($($name:literal: $kind:expr,)*) => {
        // Names that begin with `tls-` say that clients do.
        [$(Test { name: $name, kind: $kind, tls: matches!($name.as_bytes(), [b't', b'l', b's', b'-', ..]) }),*]
    };
}

/// All tests, in the order of the table.
pub const TESTS: [Test; 25] = tests! {
    "retr-1": Kind::Bulk { upload: false, sessions: 1 },
    "retr-4": Kind::Bulk { upload: false, sessions: 4 },
    "stor-1": Kind::Bulk { upload: true, sessions: 1 },
    "stor-4": Kind::Bulk { upload: true, sessions: 4 },
    "files-1": Kind::Files { sessions: 1, active: false },
    "files-16": Kind::Files { sessions: 16, active: false },
    "files-active-1": Kind::Files { sessions: 1, active: true },
    "files-active-16": Kind::Files { sessions: 16, active: true },
    "noop-1": Kind::Noop { sessions: 1 },
    "noop-16": Kind::Noop { sessions: 16 },
    "logins": Kind::Logins,
    "idle-1000": Kind::Rest { idle: 1_000 },
    "idle-8000": Kind::Rest { idle: 8_000 },
    "burst-1500": Kind::Burst,
    "scale-10": Kind::Scale { idle: 10 },
    "scale-1000": Kind::Scale { idle: 1_000 },
    "scale-8000": Kind::Scale { idle: 8_000 },
    "tls-retr-1": Kind::Bulk { upload: false, sessions: 1 },
    "tls-retr-4": Kind::Bulk { upload: false, sessions: 4 },
    "tls-stor-1": Kind::Bulk { upload: true, sessions: 1 },
    "tls-stor-4": Kind::Bulk { upload: true, sessions: 4 },
    "tls-files-1": Kind::Files { sessions: 1, active: false },
    "tls-files-16": Kind::Files { sessions: 16, active: false },
    "tls-logins": Kind::Logins,
    "tls-idle-4000": Kind::Rest { idle: 4_000 },
};

/// Sessions of the tests that need more than a few but not hundreds.
const SOME: usize = 16;

/// Transfers of the burst.
const BURST: usize = 1_500;

/// Client addresses that the burst comes from.
const BURST_ADDRESSES: usize = 300;

impl Kind {
    /// Returns the load's orders. `passive` is PASV or EPSV.
    pub fn job(self, extent: Extent, target: SocketAddr, passive: Mode) -> Job {
        let full = extent == Extent::Full;
        let total: u64 = if full { 2 << 30 } else { 512 << 20 };
        let millis = if full { 3_000 } else { 1_000 };
        let (work, mode, idle, addresses, patience) = match self {
            Self::Bulk { upload, sessions } => (
                Work::Bulk {
                    upload,
                    sessions,
                    bytes: total / sessions as u64,
                },
                passive,
                0,
                0,
                60,
            ),
            // Active clients have an address each, so that no port of theirs comes back too soon.
            Self::Files {
                sessions,
                active: true,
            } => (
                Work::Files {
                    sessions,
                    bytes: 1_024,
                    millis,
                },
                Mode::Active,
                0,
                sessions,
                20,
            ),
            Self::Files {
                sessions,
                active: false,
            } => (
                Work::Files {
                    sessions,
                    bytes: 1_024,
                    millis,
                },
                passive,
                0,
                0,
                20,
            ),
            Self::Noop { sessions } => (Work::Noop { sessions, millis }, passive, 0, 0, 20),
            Self::Logins => (
                Work::Logins {
                    at_once: SOME,
                    millis,
                },
                passive,
                0,
                SOME,
                20,
            ),
            Self::Rest { idle } => (Work::Rest, passive, idle, 0, 60),
            Self::Burst => {
                let work = Work::Bulk {
                    upload: false,
                    sessions: BURST,
                    bytes: 1 << 20,
                };
                (work, passive, 0, BURST_ADDRESSES, 120)
            }
            Self::Scale { idle } => (
                Work::Files {
                    sessions: SOME,
                    bytes: 1_024,
                    millis,
                },
                passive,
                idle,
                0,
                20,
            ),
        };
        Job {
            target,
            mode,
            work,
            idle,
            addresses,
            patience,
            tries: 1,
            certificate: None,
        }
    }

    /// Returns how many sessions a gateway has at once.
    pub fn sessions(self) -> usize {
        match self {
            Self::Bulk { sessions, .. }
            | Self::Files { sessions, .. }
            | Self::Noop { sessions } => sessions,
            Self::Logins => SOME,
            Self::Rest { idle } => idle,
            Self::Burst => BURST,
            Self::Scale { idle } => idle + SOME,
        }
    }

    /// Returns the figures of its rows in the table.
    pub fn metrics(self) -> &'static [Metric] {
        use Metric as M;
        match self {
            Self::Bulk { .. } => &[M::Throughput, M::GatewayPerGib, M::RigPerGib],
            Self::Files { .. } | Self::Noop { .. } | Self::Logins => &[
                M::Rate,
                M::P50,
                M::P99,
                M::GatewayPerOperation,
                M::RigPerOperation,
            ],
            Self::Rest { .. } => &[M::PssPerSession, M::KernelPerSession],
            Self::Burst => &[M::Completed, M::Wall, M::GatewayTotal],
            Self::Scale { .. } => &[M::Rate, M::P50, M::P99, M::GatewayPerOperation],
        }
    }
}

impl Metric {
    /// Returns its name in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput_gb_per_s",
            Self::GatewayPerGib => "gateway_cpu_s_per_gib",
            Self::RigPerGib => "rig_cpu_s_per_gib",
            Self::Rate => "operations_per_s",
            Self::P50 => "p50_us",
            Self::P99 => "p99_us",
            Self::GatewayPerOperation => "gateway_cpu_us_per_operation",
            Self::RigPerOperation => "rig_cpu_us_per_operation",
            Self::PssPerSession => "pss_kib_per_session",
            Self::KernelPerSession => "kernel_kib_per_session",
            Self::Completed => "completed",
            Self::Wall => "wall_s",
            Self::GatewayTotal => "gateway_cpu_s",
        }
    }

    /// Returns its name in the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Throughput => "GB/s",
            Self::GatewayPerGib => "gateway CPU s/GiB",
            Self::RigPerGib => "rig CPU s/GiB",
            Self::Rate => "per s",
            Self::P50 => "p50 us",
            Self::P99 => "p99 us",
            Self::GatewayPerOperation => "gateway CPU us each",
            Self::RigPerOperation => "rig CPU us each",
            Self::PssPerSession => "PSS KiB per session",
            Self::KernelPerSession => "kernel KiB per session",
            Self::Completed => "completed",
            Self::Wall => "wall s",
            Self::GatewayTotal => "gateway CPU s",
        }
    }

    /// Writes a value with as many digits as it deserves.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Throughput | Self::GatewayPerGib | Self::RigPerGib => format!("{value:.2}"),
            Self::PssPerSession | Self::KernelPerSession | Self::Wall | Self::GatewayTotal => {
                format!("{value:.1}")
            }
            Self::Rate
            | Self::P50
            | Self::P99
            | Self::GatewayPerOperation
            | Self::RigPerOperation => {
                format!("{value:.0}")
            }
            Self::Completed => format!("{value:.0}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_done() {
        let target = "10.77.0.1:21".parse().expect("an address");
        for test in TESTS {
            let job = test.kind.job(Extent::Quick, target, Mode::Passive);
            let number = test
                .name
                .rsplit('-')
                .next()
                .and_then(|n| n.parse::<usize>().ok());
            let of = if job.idle > 0 {
                job.idle
            } else {
                job.work.sessions()
            };
            assert!(number.is_none_or(|number| number == of), "{}", test.name);
            assert!(
                test.kind.sessions() >= job.work.sessions() + job.idle,
                "{}",
                test.name
            );
        }
    }
}
