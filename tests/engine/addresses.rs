//! Invariant 7 and 11 over every address and port: the port is trusted from 1024 up, the address never.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use portcullis::engine::{ForeignAddress, Output, Side};
use proptest::prelude::*;
use proptest::sample::select;

use crate::moves::Place;
use crate::theatre::{Answer, Move, Theatre};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

fn host() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        Just(CLIENT),
        Just(UPSTREAM),
        select(vec![
            Ipv4Addr::LOCALHOST,
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::new(169, 254, 169, 254)
        ]),
        any::<Ipv4Addr>(),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![1_u16..1024, Just(1023), Just(1024), 1024_u16..]
}

fn greeted(foreign: ForeignAddress) -> Theatre {
    let mut place = Place::plain();
    place.foreign = foreign;
    let mut theatre = place.theatre();
    theatre.act(&Move::Upstream(b"220 ready\r\n".to_vec()));
    theatre
}

fn numbers(ip: Ipv4Addr, port: u16) -> String {
    let [a, b, c, d] = ip.octets();
    let [high, low] = port.to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

fn last_reply(theatre: &Theatre) -> String {
    let last = theatre.sent(Side::Client).last().expect("a reply");
    String::from_utf8_lossy(last).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_gets_a_data_connection_to_itself_and_to_no_low_port(ip in host(), port in port(), extended: bool) {
        let mut theatre = greeted(ForeignAddress::Ignore);
        let line = match extended {
            true => format!("EPRT |1|{ip}|{port}|\r\n"),
            false => format!("PORT {}\r\n", numbers(ip, port)),
        };
        theatre.act(&Move::Client(line.into_bytes()));
        if ip != CLIENT || port < 1024 {
            prop_assert!(last_reply(&theatre).starts_with("504 "));
            prop_assert_eq!(theatre.sent(Side::Upstream).count(), 0);
            let asked = |output: &Output| matches!(output, Output::ReservePinhole { .. });
            let asked = theatre.performed.iter().any(asked);
            prop_assert!(!asked, "a pinhole for a stranger");
            return Ok(());
        }
        theatre.act(&Move::Answer(Answer::Done));
        theatre.act(&Move::Client(b"STOR a\r\n".to_vec()));
        theatre.act(&Move::Answer(Answer::Begun));
        let dialled: Vec<SocketAddr> = theatre
            .performed
            .iter()
            .filter_map(|output| match output {
                Output::DialData { to, .. } => Some(*to),
                _ => None,
            })
            .collect();
        prop_assert_eq!(dialled, vec![SocketAddr::new(IpAddr::V4(CLIENT), port)]);
    }

    #[test]
    fn an_upstreams_port_is_dialled_at_its_own_address_and_never_a_low_one(
        ip in host(),
        port in port(),
        extended: bool,
        refuse: bool,
    ) {
        let mut theatre = greeted(if refuse { ForeignAddress::Refuse } else { ForeignAddress::Ignore });
        theatre.watch.hides = false;
        theatre.act(&Move::Client(b"EPSV\r\n".to_vec()));
        let reply = match extended {
            true => format!("229 ok (|||{port}|)\r\n"),
            false => format!("227 ok ({})\r\n", numbers(ip, port)),
        };
        theatre.act(&Move::Upstream(reply.into_bytes()));
        theatre.act(&Move::Client(b"RETR a\r\n".to_vec()));
        let dialled = theatre.performed.iter().find_map(|output| match output {
            Output::DialData { to, .. } => Some(*to),
            _ => None,
        });
        let foreign = !extended && ip != UPSTREAM;
        if port < 1024 || (refuse && foreign) {
            prop_assert_eq!(dialled, None);
            prop_assert!(last_reply(&theatre).starts_with("425 "));
            prop_assert_eq!(theatre.watch.count.opened, 0);
        } else {
            prop_assert_eq!(dialled, Some(SocketAddr::new(IpAddr::V4(UPSTREAM), port)));
        }
    }
}
