//! The session engine, driven with nothing: transcripts, properties, simulation.

mod stage;
mod transcripts;
