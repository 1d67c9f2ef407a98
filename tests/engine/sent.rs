//! What is sent on the control connections: each sending is one reply or one command, and none that may not pass.

use std::net::SocketAddr;

use portcullis::engine::{Side, TlsMode};
use portcullis::ftp::address::{parse_227, parse_229, parse_eprt, parse_port};
use portcullis::ftp::{LineFramer, Reply, ReplyAssembler, Verb};
use portcullis::policy::{Asked, Circumstances, Request, Verdict, Words};

use super::Watch;

impl Watch {
    /// One well-formed reply, and no address that is not open.
    pub(super) fn reply(&mut self, bytes: &[u8]) {
        let reply = one_reply(bytes);
        let code = reply.code().get();
        self.greeted |= code == 220;
        if self.hides {
            let text = String::from_utf8_lossy(bytes);
            for ip in [self.upstream, self.gateway].into_iter().flatten() {
                let dotted = ip.to_string();
                let told = text.contains(&dotted) || text.contains(&dotted.replace('.', ","));
                assert!(!told, "the client is told {ip}: {text}");
            }
        }
        if (227..=229).contains(&code) {
            let at = self
                .open_at(Side::Client)
                .expect("announced without a hole");
            let text = reply.final_text();
            let announced = match code {
                227 => parse_227(text).map(SocketAddr::from),
                229 => parse_229(text).map(|port| SocketAddr::new(self.facts.advertised, port)),
                _ => panic!("a reply of another kind of passive mode"),
            };
            let expected = SocketAddr::new(self.facts.advertised, at.port());
            assert_eq!(announced, Ok(expected), "another address than the hole's");
            assert_eq!(
                reply.lines().count(),
                1,
                "an upstream's words around an address"
            );
        }
    }

    /// One line, and none that may not pass.
    pub(super) fn command(&mut self, bytes: &[u8]) {
        let line = bytes.strip_suffix(b"\r\n").expect("a whole line");
        assert!(
            !line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
            "more than one line"
        );
        let end = line.iter().position(|byte| *byte == b' ');
        let (word, argument) = line.split_at(end.unwrap_or(line.len()));
        let (verb, argument) = (Verb::parse(word), argument.get(1..));
        let security = [Verb::Auth, Verb::Pbsz, Verb::Prot];
        let before = self.settings.upstream_tls.mode != TlsMode::None && !self.greeted;
        assert!(before || !security.contains(&verb), "{verb} passed");
        assert!(
            !verb.is_refused_alias() && verb != Verb::Algs,
            "{verb} passed"
        );
        let decision = self.settings.rules.decide(&Request {
            session: Circumstances::default(),
            asked: Asked::Command(Words {
                verb,
                spelled: word,
                argument,
            }),
        });
        // What is judged by more than the command is shown by dialogues with a server of their own.
        let rules = &self.settings.rules;
        let by_name = rules.judges_names(&Circumstances::default());
        let alone = !rules.needs_paths() && (!by_name || verb == Verb::User);
        assert!(
            !alone || decision.verdict == Verdict::Allow,
            "a denied command passed"
        );
        match verb {
            Verb::Port | Verb::Eprt => {
                let at = self.open_at(Side::Upstream).expect("told without a hole");
                let argument = argument.unwrap_or_default();
                let told = match verb {
                    Verb::Port => parse_port(argument).map(SocketAddr::from),
                    _ => parse_eprt(argument),
                };
                let gateway = self.gateway.expect("connected");
                assert_eq!(told, Ok(SocketAddr::new(gateway, at.port())));
            }
            Verb::Pasv | Verb::Epsv => assert_eq!(argument, None, "a client's own argument"),
            Verb::Abor => self.count.aborted += u32::from(self.relay.is_some()),
            Verb::Rest => match self.client_rests.checked_sub(1) {
                Some(left) => self.client_rests = left,
                None => self.count.resumed += 1,
            },
            _ => {}
        }
    }
}

/// Reads bytes that must be exactly one reply.
fn one_reply(bytes: &[u8]) -> Reply {
    let mut framer = LineFramer::new(1 << 20);
    framer.push(bytes);
    let mut assembler = ReplyAssembler::new(1 << 20, 1 << 20);
    let mut replies = Vec::new();
    while let Some(line) = framer.next_line() {
        replies.extend(assembler.push(line.expect("bounded")).expect("a reply"));
    }
    assert!(assembler.is_idle() && framer.pending() == 0, "half a reply");
    let [reply] = replies.try_into().expect("exactly one reply");
    reply
}
