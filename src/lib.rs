//! Portcullis, an FTP-aware gateway.

pub mod engine;
pub mod pinhole;
pub mod policy;
