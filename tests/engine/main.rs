//! The session engine, driven with nothing: transcripts, properties, simulation.

mod addresses;
mod jailed;
mod moves;
mod names;
mod order;
mod properties;
mod reference;
mod ruled;
mod simulation;
mod stage;
mod theatre;
mod tls_moves;
mod transcripts;
mod watch;
mod words;
