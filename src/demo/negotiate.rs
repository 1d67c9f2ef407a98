//! PASV, EPSV, PORT and EPRT on the demo server.
//!
//! The server awaits only the client's own address and dials only the client's own address (RFC 2577, section 3).

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use super::address::{self, ExtendedFault};
use super::session::Session;
use super::transfer::Plan;

impl Session {
    pub(super) async fn passive(&mut self) -> io::Result<()> {
        self.plan = None;
        if self.only_epsv {
            return self.reply(503, "You said EPSV ALL.").await;
        }
        match self.await_client().await {
            Some(SocketAddr::V4(at)) => {
                let numbers = address::six_numbers(at);
                self.reply(227, format!("Entering passive mode ({numbers})."))
                    .await
            }
            Some(SocketAddr::V6(_)) => {
                self.plan = None;
                self.reply(425, "PASV knows only IPv4; use EPSV.").await
            }
            None => self.reply(425, "No port is free; try again.").await,
        }
    }

    pub(super) async fn extended_passive(&mut self, argument: &str) -> io::Result<()> {
        let (ours, family) = match self.control.local() {
            IpAddr::V4(_) => ("1", "IPv4"),
            IpAddr::V6(_) => ("2", "IPv6"),
        };
        match argument.to_ascii_uppercase().as_str() {
            "ALL" => {
                self.only_epsv = true;
                return self.reply(200, "Only EPSV from now on.").await;
            }
            "" => {}
            asked if asked == ours => {}
            "1" | "2" => {
                let text = format!("This connection is {family}; use ({ours}).");
                return self.reply(522, text).await;
            }
            _ => return self.reply(501, "EPSV takes 1, 2, ALL or nothing.").await,
        }
        self.plan = None;
        match self.await_client().await {
            Some(at) => {
                let port = at.port();
                self.reply(229, format!("Entering extended passive mode (|||{port}|)."))
                    .await
            }
            None => self.reply(425, "No port is free; try again.").await,
        }
    }

    pub(super) async fn port(&mut self, argument: &str) -> io::Result<()> {
        match address::read_six_numbers(argument) {
            Some(to) => self.dial_client("PORT", to).await,
            None => {
                self.plan = None;
                self.reply(501, "PORT wants six numbers from 0 to 255.")
                    .await
            }
        }
    }

    pub(super) async fn extended_port(&mut self, argument: &str) -> io::Result<()> {
        match address::read_extended(argument) {
            Ok(to) => self.dial_client("EPRT", to).await,
            Err(ExtendedFault::Malformed) => {
                self.plan = None;
                self.reply(501, "EPRT wants |1|address|port|.").await
            }
            Err(ExtendedFault::UnknownFamily) => {
                self.plan = None;
                self.reply(522, "No such protocol here; use (1,2).").await
            }
        }
    }

    async fn dial_client(&mut self, verb: &str, to: SocketAddr) -> io::Result<()> {
        self.plan = None;
        if self.only_epsv {
            return self.reply(503, "You said EPSV ALL.").await;
        }
        if to.ip() != self.control.peer() || to.port() < 1024 {
            let text = format!("{verb} only to your own address and a port from 1024 on.");
            return self.reply(504, text).await;
        }
        let from = self.control.local();
        self.plan = Some(Plan::Dial { to, from });
        self.reply(200, format!("{verb} done.")).await
    }

    async fn await_client(&mut self) -> Option<SocketAddr> {
        let listener = TcpListener::bind((self.control.local(), 0)).await.ok()?;
        let at = listener.local_addr().ok()?;
        let peer = self.control.peer();
        self.plan = Some(Plan::Await { listener, peer });
        Some(at)
    }
}
