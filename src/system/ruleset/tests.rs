use std::ops::RangeInclusive;

use super::{
    Answer, Base, Chain, Effect, Family, Hook, Match, Packet, Rule, Ruleset, State, Table, Verdict,
};
use super::{parse_iptables, parse_nft};

/// What nft 1.0.6 printed of one rule of each kind.
const PRINTED: &str = include_str!("samples/inet.json");

fn nft(rules: &str) -> Ruleset {
    parse_nft(&format!(
        "{{\"nftables\": [{{\"table\": {{\"family\": \"inet\", \"name\": \"t\"}}}}, {rules}]}}"
    ))
    .expect("JSON of nft")
}

fn printed(handle: u64) -> Rule {
    let ruleset = parse_nft(PRINTED).expect("JSON of nft");
    let rules = ruleset
        .tables
        .iter()
        .flat_map(|table| &table.chains)
        .flat_map(|chain| &chain.rules);
    let mut rules = rules.filter(|rule| rule.handle == Some(handle));
    rules.next().expect("a rule of that handle").clone()
}

fn ports(ports: &[RangeInclusive<u16>]) -> Match {
    Match::Port {
        source: false,
        ports: ports.to_vec(),
        not: false,
    }
}

fn mark(mask: u32, value: u32, not: bool) -> Match {
    Match::Mark { mask, value, not }
}

fn writes(sets: u32, clears: u32) -> Vec<Effect> {
    vec![Effect::WritesMark { sets, clears }]
}

#[test]
fn what_nft_prints_is_understood() {
    use Match::{Inner, Never, NotState, Translated, Unknown, V6};
    let (new, established, related) = (State::New, State::Established, State::Related);
    for (handle, matches, verdict) in [
        (7, vec![Inner(true)], Verdict::Accept),
        (
            9,
            vec![Unknown, ports(&[21..=22, 80..=90])],
            Verdict::Accept,
        ),
        (
            10,
            vec![ports(&[21..=21]), Match::State(vec![new]), Unknown],
            Verdict::Accept,
        ),
        (11, vec![mark(0x1000, 0x1000, false)], Verdict::Accept),
        (12, vec![mark(0x1000, 0, true)], Verdict::Accept),
        (13, vec![mark(u32::MAX, 5, false)], Verdict::Accept),
        (
            14,
            vec![Match::State(vec![established, related])],
            Verdict::Accept,
        ),
        (15, vec![NotState(vec![State::Invalid])], Verdict::Accept),
        (
            17,
            vec![Match::State(vec![established, new])],
            Verdict::Accept,
        ),
        (19, vec![ports(&[53..=53])], Verdict::Accept),
        (20, vec![V6(false), Never], Verdict::Accept),
        (21, vec![Never], Verdict::Accept),
        (22, vec![Translated(true)], Verdict::Accept),
        (23, vec![V6(true)], Verdict::Drop),
        (32, vec![], Verdict::Unknown),
        (33, vec![], Verdict::Drop),
    ] {
        let rule = printed(handle);
        assert_eq!((rule.matches, rule.verdict), (matches, verdict), "{handle}");
    }
    assert_eq!(
        printed(6).verdict,
        Verdict::ByState(vec![
            (State::Invalid, Verdict::Drop),
            (established, Verdict::Accept),
            (related, Verdict::Accept)
        ])
    );
}

#[test]
fn what_rules_do_besides_is_understood() {
    assert_eq!(printed(24).effects, writes(5, !5));
    assert_eq!(printed(25).effects, writes(5, 0xf000 & !5));
    assert_eq!(printed(26).effects, writes(0x1000, 0));
    assert_eq!(printed(27).effects, writes(u32::MAX, u32::MAX));
    // The packet's mark is not the connection's.
    assert_eq!(printed(28).effects, []);
    assert_eq!(printed(29).effects, writes(0xff, u32::MAX));
    assert_eq!(printed(34).effects, [Effect::FtpHelper]);
    assert_eq!(printed(35).effects, [Effect::Untracked]);
    assert_eq!(printed(36).effects, [Effect::ClampsSegments]);
}

#[test]
fn what_is_not_known_stays_unknown() {
    for (left, right) in [
        (
            "{\"payload\": {\"protocol\": \"tcp\", \"field\": \"dport\"}}",
            "\"@ports\"",
        ),
        ("{\"ct\": {\"key\": \"state\"}}", "\"sometime\""),
        ("{\"ct\": {\"key\": \"mark\"}}", "{\"range\": [1, 2]}"),
        ("{\"meta\": {\"key\": \"iifname\"}}", "\"eth0\""),
        ("{\"osf\": {\"key\": \"name\"}}", "\"Linux\""),
        ("null", "null"),
    ] {
        let ruleset = nft(&format!(
            "{{\"chain\": {{\"family\": \"inet\", \"table\": \"t\", \"name\": \"c\"}}}},
             {{\"rule\": {{\"family\": \"inet\", \"table\": \"t\", \"chain\": \"c\", \"handle\": 1, \"expr\": [
                {{\"match\": {{\"op\": \"==\", \"left\": {left}, \"right\": {right}}}}}, {{\"accept\": null}}]}}}}"
        ));
        assert_eq!(
            ruleset.tables[0].chains[0].rules[0].matches,
            [Match::Unknown],
            "{left}"
        );
    }
    for bad in ["", "[]", "{}", "{\"nftables\": 1}"] {
        assert!(parse_nft(bad).is_err(), "{bad}");
    }
    assert_eq!(
        nft("1, {\"rule\": 2}, {\"rule\": {\"family\": \"inet\"}}")
            .tables
            .len(),
        1
    );
}

fn iptables(text: &str) -> Rule {
    let text = format!("*filter\n:FORWARD DROP [0:0]\n-A FORWARD {text}\nCOMMIT\n");
    let mut tables = parse_iptables(&text, Family::Ip, "iptables");
    tables.remove(0).chains.remove(0).rules.remove(0)
}

#[test]
fn what_iptables_saves_is_understood() {
    use Match::{Inner, Local, Never, NotState, Unknown};
    let both = vec![State::Related, State::Established];
    for (text, matches, verdict) in [
        (
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            vec![Match::State(both.clone())],
            Verdict::Accept,
        ),
        (
            "-m state ! --state RELATED,ESTABLISHED -j DROP",
            vec![NotState(both)],
            Verdict::Drop,
        ),
        (
            "-m conntrack --ctstate DNAT -j ACCEPT",
            vec![Match::Translated(true)],
            Verdict::Accept,
        ),
        (
            "-m conntrack --ctstate DNAT,NEW -j ACCEPT",
            vec![Unknown],
            Verdict::Accept,
        ),
        ("-i lo -j ACCEPT", vec![Inner(true)], Verdict::Accept),
        (
            "-i docker0 ! -o docker0 -j ACCEPT",
            vec![Inner(true), Inner(false)],
            Verdict::Accept,
        ),
        ("-i eth0 -j ACCEPT", vec![Unknown], Verdict::Accept),
        (
            "-s 10.0.0.0/8 -j REJECT --reject-with icmp-port-unreachable",
            vec![Unknown],
            Verdict::Drop,
        ),
        (
            "-p tcp -m multiport --dports 21,22,80:90 -j ACCEPT",
            vec![ports(&[21..=21, 22..=22, 80..=90])],
            Verdict::Accept,
        ),
        (
            "-p udp -m udp --dport 53 -j ACCEPT",
            vec![Never, ports(&[53..=53])],
            Verdict::Accept,
        ),
        ("! -p udp -j zone", vec![], Verdict::Jump("zone".to_owned())),
        ("-g zone", vec![], Verdict::Goto("zone".to_owned())),
        (
            "-m connmark --mark 0x1000/0x1000 -m comment --comment \"-j DROP \\\"x\" -j ACCEPT",
            vec![mark(0x1000, 0x1000, false)],
            Verdict::Accept,
        ),
        (
            "-m connmark ! --mark 7 -j DROP",
            vec![mark(u32::MAX, 7, true)],
            Verdict::Drop,
        ),
        // The packet's mark is not the connection's.
        (
            "-m mark --mark 0x4000/0x4000 -j DROP",
            vec![Unknown, Unknown],
            Verdict::Drop,
        ),
        (
            "-m addrtype --dst-type LOCAL -j RETURN",
            vec![Local(true)],
            Verdict::Return,
        ),
        (
            "-m addrtype --dst-type MULTICAST -j DROP",
            vec![Never],
            Verdict::Drop,
        ),
        (
            "-m limit --limit 3/min -j LOG --log-prefix \"-j DROP\"",
            vec![Unknown, Unknown],
            Verdict::Next,
        ),
        (
            "-m set --match-set blocked src -j DROP",
            vec![Unknown, Unknown, Unknown],
            Verdict::Drop,
        ),
    ] {
        let rule = iptables(text);
        assert_eq!((rule.matches, rule.verdict), (matches, verdict), "{text}");
    }
    for (text, effects) in [
        ("-j CONNMARK --set-xmark 0x5/0xff", writes(5, 0xfa)),
        (
            "-j CONNMARK --save-mark --nfmask 0xf --ctmask 0xff",
            writes(0xf, 0xff),
        ),
        (
            "-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff",
            vec![],
        ),
        (
            "-p tcp -m tcp --dport 21 -j CT --notrack",
            vec![Effect::Untracked],
        ),
        (
            "-p tcp -m tcp --dport 21 -j CT --helper ftp",
            vec![Effect::FtpHelper],
        ),
        (
            "-p tcp -j TCPMSS --clamp-mss-to-pmtu",
            vec![Effect::ClampsSegments],
        ),
    ] {
        assert_eq!(iptables(text).effects, effects, "{text}");
    }
}

#[test]
fn no_text_makes_the_readers_fall() {
    for text in [
        "",
        "*",
        ":",
        "-A",
        "-A ",
        "*t\n:c\n-A c -j",
        "*t\n:c -\n-A c ! \n-A c -m\n-A c \"",
        "*t\n:c - x\n-A c --dport 1:2:3",
    ] {
        let _ = parse_iptables(text, Family::Ip6, "ip6tables");
    }
}

fn rule(matches: &[Match], verdict: Verdict) -> Rule {
    Rule {
        matches: matches.to_vec(),
        verdict,
        ..Rule::default()
    }
}

fn answer(drops: bool, rules: Vec<Rule>, called: Vec<Rule>) -> Answer {
    let chain = |name: &str, base, rules| Chain {
        name: name.to_owned(),
        base,
        rules,
    };
    let base = Base {
        hook: Hook::Forward,
        filters: true,
        drops,
    };
    let table = Table {
        tool: super::Tool::Nft,
        family: Family::Inet,
        name: "t".to_owned(),
        chains: vec![
            chain("base", Some(base), rules),
            chain("called", None, called),
        ],
        ours: false,
        ftp_helpers: Vec::new(),
    };
    let packet = Packet {
        hook: Hook::Forward,
        v6: false,
        state: State::New,
        mark: 0x1000,
        translated: true,
        ports: Some(21_000..=21_015),
        from: None,
    };
    table.answer(&table.chains[0], &packet)
}

#[test]
fn a_policy_decides_where_no_rule_does() {
    assert_eq!(answer(false, vec![], vec![]), Answer::Passes);
    assert_eq!(answer(true, vec![], vec![]), Answer::Falls);
    let established = rule(&[Match::State(vec![State::Established])], Verdict::Accept);
    assert_eq!(answer(true, vec![established], vec![]), Answer::Falls);
}

#[test]
fn the_first_sure_verdict_decides() {
    let ours = || rule(&[mark(0x1000, 0x1000, false)], Verdict::Accept);
    let drop = || rule(&[], Verdict::Drop);
    assert_eq!(answer(true, vec![ours()], vec![]), Answer::Passes);
    assert_eq!(answer(false, vec![drop(), ours()], vec![]), Answer::Falls);
    assert_eq!(answer(true, vec![ours(), drop()], vec![]), Answer::Passes);
    let whole_window = rule(&[ports(&[20_000..=30_000])], Verdict::Accept);
    assert_eq!(answer(true, vec![whole_window], vec![]), Answer::Passes);
    let other_port = rule(&[ports(&[21..=21])], Verdict::Accept);
    assert_eq!(answer(true, vec![other_port], vec![]), Answer::Falls);
}

#[test]
fn what_is_unknown_makes_doubt_and_never_a_drop() {
    let some = |verdict| rule(&[Match::Unknown], verdict);
    assert_eq!(
        answer(true, vec![some(Verdict::Accept)], vec![]),
        Answer::MayFall
    );
    assert_eq!(
        answer(false, vec![some(Verdict::Drop)], vec![]),
        Answer::Passes
    );
    let half_the_window = rule(&[ports(&[21_000..=21_005])], Verdict::Accept);
    assert_eq!(answer(true, vec![half_the_window], vec![]), Answer::MayFall);
}

#[test]
fn chains_call_and_come_back() {
    let jump = || rule(&[], Verdict::Jump("called".to_owned()));
    let goto = || rule(&[], Verdict::Goto("called".to_owned()));
    let accept = || rule(&[], Verdict::Accept);
    let back = || rule(&[], Verdict::Return);
    assert_eq!(
        answer(true, vec![jump(), accept()], vec![back()]),
        Answer::Passes
    );
    assert_eq!(answer(true, vec![goto(), accept()], vec![]), Answer::Falls);
    assert_eq!(answer(true, vec![jump()], vec![accept()]), Answer::Passes);
    let by_interface = rule(&[Match::Unknown], Verdict::Goto("called".to_owned()));
    assert_eq!(
        answer(true, vec![by_interface.clone()], vec![accept()]),
        Answer::MayFall
    );
    assert_eq!(answer(true, vec![by_interface], vec![]), Answer::Falls);
    let elsewhere = rule(&[], Verdict::Jump("nowhere".to_owned()));
    assert_eq!(answer(true, vec![elsewhere], vec![]), Answer::MayFall);
    // A ring, which the kernel refuses, ends all the same.
    assert_eq!(answer(true, vec![jump()], vec![jump()]), Answer::MayFall);
}
