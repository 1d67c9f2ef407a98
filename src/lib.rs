//! Portcullis, an FTP-aware gateway.

#[cfg(feature = "demo")]
pub mod demo;
