//! What systemd is told, where it started us.

use super::start::Phase;

/// Tells systemd how far we are.
pub(super) fn tell_systemd(phase: Phase) {
    match phase {
        Phase::Reloading => tell_service_manager(&reloading()),
        Phase::Reloaded { .. } => tell_service_manager(&[sd_notify::NotifyState::Ready]),
        Phase::Stopping => tell_service_manager(&[sd_notify::NotifyState::Stopping]),
    }
}

/// Tells systemd, where it started us (sd_notify(3)).
fn tell_service_manager(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}

/// RELOADING=1 needs the time with it.
fn reloading() -> Vec<sd_notify::NotifyState<'static>> {
    let time = sd_notify::NotifyState::monotonic_usec_now().ok();
    std::iter::once(sd_notify::NotifyState::Reloading)
        .chain(time)
        .collect()
}
