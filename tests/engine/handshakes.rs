//! The handshakes of a theatre: on control connections at once, on data legs when they are needed.

use portcullis::engine::{DataTls, Input, Side, TlsFacts, TlsFault, TlsVersion, TransferId};

use super::{Hole, Theatre};

/// What becomes of handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Works,
    /// It works, and resumes nothing.
    Fresh,
    Fails,
    /// Nobody answers.
    Stalls,
}

pub(super) fn facts(fate: Fate) -> Box<TlsFacts> {
    Box::new(TlsFacts {
        version: TlsVersion::V1_3,
        cipher: "TLS13_AES_128_GCM_SHA256",
        resumed: fate == Fate::Works,
        sni: Some("x".into()),
        certificate: None,
    })
}

impl Theatre {
    /// Plays the handshake of a control connection.
    pub(super) fn handshake(&mut self, with: Side) {
        match self.fate {
            Fate::Works | Fate::Fresh => {
                let facts = facts(self.fate);
                self.facts.push_back(Input::TlsEstablished { with, facts });
            }
            Fate::Fails => self.facts.push_back(Input::TlsFailed {
                with,
                why: TlsFault::NoCommonSuite.into(),
            }),
            Fate::Stalls => self.stalled = Some(with),
        }
    }

    /// Plays the rest of a handshake in which nobody had answered.
    pub(super) fn answered(&mut self) {
        if let Some(with) = self.stalled.take() {
            let facts = facts(Fate::Works);
            self.feed(Input::TlsEstablished { with, facts });
        }
    }

    /// Plays the handshake of a data leg, if one is due.
    pub(super) fn data_handshake(&mut self, side: Side, fate: Fate) {
        self.somebody_begins(side, fate);
        let Some((transfer, _)) = self.relay else {
            return;
        };
        if !self.is_due(transfer, side) {
            return;
        }
        match fate {
            Fate::Works | Fate::Fresh => {
                self.secured.insert((transfer, side == Side::Client));
                let facts = facts(fate);
                self.feed(Input::DataTlsEstablished {
                    transfer,
                    side,
                    facts,
                });
            }
            Fate::Fails | Fate::Stalls => self.feed(Input::DataTlsFailed {
                transfer,
                side,
                why: TlsFault::TimedOut.into(),
            }),
        }
    }

    /// Whoever comes to a pinhole that is for its owner alone begins a handshake, or gives it up.
    fn somebody_begins(&mut self, side: Side, fate: Fate) {
        let asked = |hole: &&Hole| hole.open && hole.side == side && hole.tls == DataTls::Resumed;
        if let Some(transfer) = self.holes.iter().find(asked).map(|hole| hole.transfer) {
            let underway = fate != Fate::Fails;
            self.feed(Input::DataTlsUnderway { transfer, underway });
        }
    }

    /// Tells whether all legs are protected as they are to be, after the handshakes that this needs.
    pub(super) fn is_covered(&mut self) -> bool {
        for side in [Side::Client, Side::Upstream] {
            self.data_handshake(side, self.fate);
        }
        let Some((transfer, _)) = self.relay else {
            return false;
        };
        [Side::Client, Side::Upstream].into_iter().all(|side| {
            let secured = self.secured.contains(&(transfer, side == Side::Client));
            self.tls[side] == DataTls::Clear || secured
        })
    }

    fn is_due(&self, transfer: TransferId, side: Side) -> bool {
        let asked = side == Side::Client || self.upstream_asked == Some(transfer);
        let secured = self.secured.contains(&(transfer, side == Side::Client));
        self.tls[side] != DataTls::Clear && asked && !secured
    }
}
