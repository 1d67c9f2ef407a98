//! Portcullis, an FTP-aware gateway.

pub mod config;
