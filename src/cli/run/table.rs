//! The config turned into the table in the kernel.

use crate::cli::{Exit, Failure};
use crate::config::Config;
use crate::nft::broker::InKernel;
use crate::nft::kernel::{self, Kernel, Layout};

/// The name of our table.
const TABLE: &str = "portcullis";

/// Elements that each set holds at most.
const SET_SIZE: u32 = 65_536;

/// Installs our table.
///
/// # Errors
/// No permission (77), no such feature (69), a table of our name that is not ours (78).
pub(super) fn install(config: &Config) -> Result<InKernel, Failure> {
    let kernel = Kernel::install(&layout(config)).map_err(|error| Failure {
        exit: Exit::of_code(error.exit_code()),
        error: error.into(),
    })?;
    count_connections();
    Ok(InKernel::new(kernel)?)
}

fn layout(config: &Config) -> Layout {
    let pinholes = &config.pinholes;
    let listening = config.listeners.values().flat_map(|one| &one.listen);
    Layout {
        table: TABLE.to_owned(),
        client_window: pinholes.window.first()..=pinholes.window.last(),
        upstream_window: pinholes.upstream_window.first()..=pinholes.upstream_window.last(),
        listeners: listening.map(|address| address.port()).collect(),
        mark: pinholes.mark.bits(),
        group: pinholes.nflog_group,
        size: SET_SIZE,
    }
}

/// Without the kernel's counts nobody can tell how much a forwarded transfer carried.
fn count_connections() {
    let counted = match kernel::counts_connections() {
        Ok(true) => Ok(()),
        Ok(false) => kernel::count_connections(),
        Err(error) => Err(error),
    };
    if let Err(error) = counted {
        tracing::warn!(
            "the kernel does not count what forwarded transfers carry ({error}); set net.netfilter.nf_conntrack_acct = 1"
        );
    }
}
