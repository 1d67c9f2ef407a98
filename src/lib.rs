//! Portcullis, an FTP-aware gateway.

pub mod engine;
pub mod ftp;
pub mod policy;
