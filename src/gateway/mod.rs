//! The gateway's shell: sockets, threads, the journal and the life cycle around the pure engine.
//!
//! [`Gateway::start`] builds everything from a config and returns a [`Running`] gateway. Worker threads carry
//! the sessions; one more thread, the steward, answers the control socket, reloads, drains and ends. This module
//! never looks into FTP text, and decides nothing that the engine could decide.

mod admission;
mod advice;
mod bans;
mod certificates;
mod clock;
mod control;
mod crew;
mod descriptors;
pub mod documents;
mod driver;
pub mod exit_points;
mod guard;
pub mod guests;
mod heap;
pub mod journal;
mod legs;
mod listener;
mod observed;
mod restart;
mod running;
mod secure;
mod service_manager;
mod session_ids;
mod settings;
mod shared;
mod start;
pub mod status;
mod steward;
mod stream;
mod upstream;
mod users;
mod wire;
mod worker;

pub use control::{ControlError, ControlSocket};
pub use listener::{Bound, ListenError, bind_all, inherited};
pub use restart::keep_what_needs_a_restart;
pub use running::{Remote, Running};
pub use start::{
    ControlEntry, Gateway, Herald, Loader, Overrides, Phase, StartError, bind_control,
    journal_settings,
};
