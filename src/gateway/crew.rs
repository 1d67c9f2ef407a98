//! How many workers a gateway has, and what each runs on.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::journal::Journal;
use super::start::StartError;
use crate::config::{self, Config, TlsMode, UpstreamTlsMode};
use crate::nft::Firewall;

/// For how many processors there is one worker, where the kernel carries the files.
const DIALOGUE: usize = 4;

/// How many workers suit this config on so many processors: at least one.
///
/// Who carries files, and protects them, wants every processor. Where the kernel carries them, a gateway has dialogues to read, and asks
/// its broker twice for each file; several workers would only wait for that one process, and wake each other's processors for it.
pub(super) fn size(config: &Config, processors: usize) -> usize {
    let carried_by_kernel =
        config.pinholes.firewall == config::Firewall::Nftables && !speaks_tls(config);
    let each = if carried_by_kernel { DIALOGUE } else { 1 };
    processors.div_ceil(each).max(1)
}

/// On how many processors this process may run.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Says so where a new config would have more workers than the one with which the gateway started.
pub(super) fn told_of_more(old: &Config, new: &Config) {
    let (now, wanted) = (size(old, processors()), size(new, processors()));
    if wanted > now {
        tracing::warn!(
            now,
            wanted,
            "with TLS there are more workers, but only after a restart: until then TLS has as many as a gateway whose files the kernel carries"
        );
    }
}

/// A worker writes what it holds back of the journal before it sleeps, and rests from asking.
pub(super) fn runtime(
    journal: Arc<Journal>,
    firewall: Option<Arc<dyn Firewall>>,
) -> Result<tokio::runtime::Runtime, StartError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || {
            journal.flush();
            if let Some(firewall) = &firewall {
                firewall.rest();
            }
        })
        .build()
        .map_err(StartError::Thread)
}

fn speaks_tls(config: &Config) -> bool {
    let mut listeners = config.listeners.values();
    let mut upstreams = config.upstreams.values();
    listeners.any(|one| one.tls.mode != TlsMode::None)
        || upstreams.any(|one| one.tls.mode != UpstreamTlsMode::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(listener: &str, upstream: &str, firewall: &str) -> [usize; 4] {
        let text = format!(
            "version: 1\nlisteners:\n  main:\n    listen: [\"127.0.0.1:2121\"]\n    tls: {{{listener}}}\nupstreams:\n  old:\n    addresses: [\"10.0.0.5:21\"]\n    tls: {{{upstream}}}\npinholes: {{firewall: {firewall}}}\n"
        );
        let config = Config::parse(&text, "test").expect("a good config").config;
        [0, 1, 4, 9].map(|processors| size(&config, processors))
    }

    #[test]
    fn who_carries_files_has_a_worker_on_each_processor() {
        let (clear, tls) = ("mode: none", "mode: explicit");
        let served = "mode: explicit, certificates: [{chain: /c.pem, key: /k.pem}]";
        let everywhere = [1, 1, 4, 9];
        assert_eq!(sizes(clear, clear, "none"), everywhere);
        assert_eq!(sizes(clear, clear, "nftables"), [1, 1, 1, 3]);
        assert_eq!(sizes(clear, tls, "nftables"), everywhere);
        assert_eq!(sizes(served, clear, "nftables"), everywhere);
    }
}
