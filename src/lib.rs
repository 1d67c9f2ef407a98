//! Portcullis, an FTP-aware gateway.

pub mod cli;
pub mod config;
