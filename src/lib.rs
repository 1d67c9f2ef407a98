//! Portcullis, an FTP-aware gateway.

pub mod engine;
pub mod policy;
