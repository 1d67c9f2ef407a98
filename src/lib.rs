//! Portcullis, an FTP-aware gateway.
