//! A list of users before real servers: whoever is on it logs in, and nobody else learns who is.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use portcullis_netlab::server::{PASSWORD, USER};
use portcullis_netlab::{Family, Node, Server, journal};

use crate::{Action, Asked, PATIENCE, Site, Who};

/// Longer than the servers take to refuse a password (PAM waits two seconds, more or less).
const DELAY: Duration = Duration::from_secs(5);

#[test]
fn a_list_of_users_lets_them_in_and_looks_the_same_to_everybody_else() {
    let site = Site::new().unwrap();
    let rules = site.lab.directory().join("listed.yaml");
    let list = format!(
        "version: 1\nrules:\n  - {{name: list, when: {{not: {{user: [{USER}]}}}}, then: {{deny: \"530 You are not on the list.\"}}}}\n"
    );
    fs::write(&rules, list).unwrap();
    let files = format!("{}, everything-but-dangerous", rules.display());
    let guard = format!("login_guard: {{delay: {}s, ban: none}}", DELAY.as_secs());
    let gateway = site.start_with("list", &files, &guard).unwrap();
    for server in &site.servers {
        for client in ["curl", "lftp"] {
            let asked = Asked {
                server,
                who: Who::Named,
                client,
                action: Action::Get,
            };
            site.try_one("list", &asked, true).unwrap();
        }
        let known = site.guess(server, USER, "wrong");
        let unknown = site.guess(server, "mallory", "wrong");
        assert_eq!(known[1], "530 Login incorrect.");
        assert_eq!(known, unknown);
        let logged = server.log_length();
        assert_eq!(known, site.guess(server, "mallory", PASSWORD));
        assert!(!server.log_since(logged).contains("mallory"));
    }
    let failed = site.journal("list");
    let failed = failed
        .iter()
        .filter(|record| journal::event(record) == "login.failed");
    assert_eq!(failed.count(), 3 * site.servers.len());
    let status = gateway.stop(PATIENCE).unwrap();
    assert!(status.success(), "{status}");
}

impl Site {
    /// Tries to log in, and answers with the replies to USER, PASS and SYST; what they take has to be the delay.
    fn guess(&self, server: &Server, user: &str, password: &str) -> Vec<String> {
        let at = SocketAddr::new(Node::Gateway.address(Family::V4), server.kind().port());
        let guess = || {
            let mut control = TcpStream::connect(at).unwrap();
            control.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut lines = BufReader::new(control.try_clone().unwrap()).lines();
            let mut hears = || lines.next().unwrap().unwrap();
            assert!(hears().starts_with("220"));
            let begun = Instant::now();
            let said = format!("USER {user}\r\nPASS {password}\r\nSYST\r\n");
            control.write_all(said.as_bytes()).unwrap();
            let heard = vec![hears(), hears(), hears()];
            let took = begun.elapsed();
            assert!(took >= DELAY, "{user}: {took:?}");
            heard
        };
        self.lab.inside(Node::Client, guess).unwrap()
    }
}
