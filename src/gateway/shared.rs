//! What all workers of a gateway share: each part behind its own small lock, or none.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::admission::Admission;
use super::clock::Clock;
use super::guard::LoginGuard;
use super::journal::Journal;
use super::observed::Observed;
use super::session_ids::Names;
use super::settings::Tuning;
use super::status::Gauges;
use super::users::Users;
use crate::helper;
use crate::pinhole::{Pinholes, Sockets};

/// Everything that sessions of different workers have in common.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) names: Names,
    pub(super) journal: Arc<Journal>,
    pub(super) sockets: Arc<dyn Sockets>,
    pub(super) resolver: Arc<dyn helper::Names>,
    pub(super) exits: Arc<dyn helper::Exits>,
    pub(super) pinholes: Arc<Pinholes>,
    pub(super) admission: Arc<Admission>,
    pub(super) guard: LoginGuard,
    pub(super) users: Arc<Users>,
    pub(super) gauges: Arc<Gauges>,
    pub(super) observed: Observed,
    pub(super) tuning: ArcSwap<Tuning>,
}
