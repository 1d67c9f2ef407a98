//! Portcullis, an FTP-aware gateway.

pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod engine;
pub mod ftp;
pub mod gateway;
pub mod pinhole;
pub mod policy;
