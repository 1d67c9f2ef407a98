//! Portcullis, an FTP-aware gateway.

pub mod cli;
pub mod config;
pub mod engine;
pub mod ftp;
pub mod gateway;
pub mod pinhole;
pub mod policy;
