//! Portcullis, an FTP-aware gateway.

pub mod cli;
pub mod engine;
pub mod ftp;
pub mod pinhole;
pub mod gateway;
pub mod policy;
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
