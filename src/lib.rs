//! Portcullis, an FTP-aware gateway.

pub mod cli;
pub mod engine;
pub mod gateway;
pub mod policy;
