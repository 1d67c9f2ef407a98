//! One condition a test: made, found, mended by what was printed, and gone.

use portcullis_netlab::Node;
use serde_json::Value;

use crate::flows::with_pinholes;
use crate::site::Site;

/// Spoils a healthy machine by a script, and lets the printed commands mend it.
fn mended(spoil: &str, check: &str, severity: &str) {
    let site = Site::healthy();
    site.run(spoil);
    site.check().expect(check, severity);
    site.mend(check);
    assert_eq!(site.check().code, 0);
}

#[test]
fn a_healthy_machine_is_quiet_and_nothing_is_left_on_it() {
    let site = Site::healthy();
    let before = site.run("nft list ruleset; cat /proc/net/ip_tables_names; sysctl -a -r ^net 2>/dev/null | grep -v -e _count");
    assert_eq!(site.check().code, 0);
    let after = site.run("nft list ruleset; cat /proc/net/ip_tables_names; sysctl -a -r ^net 2>/dev/null | grep -v -e _count");
    assert_eq!(before, after);
}

#[test]
fn forwarding_that_is_off() {
    mended("sysctl -qw net.ipv4.ip_forward=0", "forwarding", "error");
    mended(
        "sysctl -qw net.ipv6.conf.all.forwarding=0",
        "forwarding",
        "error",
    );
}

/// An upstream of one family needs no forwarding of the other.
#[test]
fn forwarding_that_nobody_needs_may_be_off() {
    let site = Site::healthy();
    site.configure("upstreams: {legacy: {addresses: [\"192.0.2.7\"]}}\n");
    site.run("sysctl -qw net.ipv6.conf.all.forwarding=0");
    assert_eq!(site.check().code, 0);
}

#[test]
fn a_machine_that_forwards_everything() {
    let site = Site::bare();
    let report = site.check();
    report.expect("open_router", "warning");
    assert_eq!(report.findings.len(), 2, "IPv4 and IPv6");
    for command in report.about("open_router")[0]["commands"]
        .as_array()
        .expect("commands")
    {
        site.run(command.as_str().expect("text"));
    }
    assert_eq!(site.check().findings, [] as [serde_json::Value; 0]);
}

#[test]
fn strict_reverse_paths_with_two_uplinks() {
    mended(
        "ip route add default via 192.0.2.7 metric 10
         ip route add default via 198.51.100.7 metric 20
         sysctl -qw net.ipv4.conf.all.rp_filter=1",
        "rp_filter",
        "warning",
    );
}

#[test]
fn advertisements_that_a_router_does_not_take() {
    mended(
        "ip -6 route add default via fe80::1 dev server proto ra
         sysctl -qw net.ipv6.conf.server.accept_ra=1",
        "accept_ra",
        "warning",
    );
}

#[test]
fn loopback_that_is_routed() {
    mended(
        "sysctl -qw net.ipv4.conf.client.route_localnet=1",
        "route_localnet",
        "warning",
    );
}

#[test]
fn bytes_that_are_not_counted() {
    let site = Site::healthy();
    site.run("sysctl -qw net.netfilter.nf_conntrack_acct=0");
    assert_eq!(site.check().code, 0, "the gateway switches it on by itself");
    // As in a container that may not write settings; the mount is this script's alone.
    let contained = format!("mount --bind -o ro /proc/sys /proc/sys; {}", site.command());
    let report = site.check_with(&contained);
    report.expect("conntrack_acct", "warning");
    for command in report.commands("conntrack_acct") {
        site.run(&command);
    }
    assert!(site.check_with(&contained).findings.is_empty());
}

#[test]
fn a_tunnel_without_a_clamp() {
    mended("ip link set server mtu 1400", "mss_clamp", "warning");
}

#[test]
fn a_table_of_our_name() {
    for table in [
        "nft add table inet portcullis",
        "nft add table inet portcullis '{ comment \"made by hand\"; }'",
        "nft add table inet portcullis; nft add chain inet portcullis c '{ comment \"made by Portcullis\"; }'",
    ] {
        mended(table, "foreign_table", "error");
    }
    let site = Site::healthy();
    site.run(
        "nft add table inet portcullis '{ comment \"made by Portcullis; as a gateway does\"; }'",
    );
    assert_eq!(site.check().code, 0);
}

#[test]
fn windows_out_of_connection_tracking() {
    let chain = "nft add table inet loose
        nft 'add chain inet loose raw { type filter hook prerouting priority raw; }'";
    let rule = |rule: &str| format!("{chain}; nft add rule inet loose raw {rule}");
    mended(&rule("tcp dport 20000-30000 notrack"), "untracked", "error");
    mended(
        &rule("ip saddr 198.51.100.7 tcp dport 21000-21015 notrack"),
        "untracked",
        "warning",
    );
    mended(
        "iptables -t raw -A PREROUTING -p tcp --dport 21000:22999 -j CT --notrack",
        "untracked",
        "error",
    );
    let site = Site::healthy();
    site.run(&rule("udp dport 20000-30000 notrack"));
    site.run("nft add rule inet loose raw tcp dport 80 notrack");
    assert_eq!(site.check().code, 0);
}

#[test]
fn the_kernels_own_helper() {
    mended(
        "nft -f - <<'RULES'
table inet help {
    ct helper standard { type \"ftp\" protocol tcp; }
    chain prerouting { type filter hook prerouting priority filter; tcp dport 21 ct helper set \"standard\"; }
}
RULES",
        "ftp_helper",
        "warning",
    );
    mended(
        "iptables -t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp",
        "ftp_helper",
        "warning",
    );
}

#[test]
fn windows_in_the_ephemeral_range() {
    let site = Site::healthy();
    site.configure("pinholes: {firewall: nftables, window: 33000-33015}\n");
    site.check().expect("ephemeral_range", "warning");
    site.mend("ephemeral_range");
}

#[test]
fn ports_that_another_program_holds() {
    let site = Site::healthy();
    let held = site
        .lab
        .inside(Node::Gateway, || {
            std::net::TcpListener::bind(("0.0.0.0", 21_005)).expect("a listener")
        })
        .expect("inside");
    let report = site.check();
    report.expect("window_taken", "error");
    let help = report.findings[0]["help"].as_str().expect("help");
    assert!(
        help.contains("write another range at `pinholes.window`"),
        "{help}"
    );
    site.configure("pinholes: {firewall: nftables, window: 21100-21115}\n");
    assert_eq!(site.check().code, 0);
    drop(held);
}

/// The test's own process is the other program.
#[test]
fn nflog_groups_that_another_program_holds() {
    let site = Site::healthy();
    with_pinholes(&site, |_| {
        let report = site.check();
        let taken: Vec<&str> = report
            .about("nflog_taken")
            .into_iter()
            .filter_map(|finding| finding["message"].as_str())
            .collect();
        assert_eq!(taken.len(), 2, "{:?}", report.findings);
        assert!(
            taken[0].contains("listens at NFLOG group 2100"),
            "{taken:?}"
        );
        assert_eq!(report.code, 1);
        site.configure("pinholes: {firewall: nftables, nflog_group: 2102}\n");
        assert_eq!(site.check().about("nflog_taken"), [] as [&Value; 0]);
    });
}

/// With `firewall: none` there is no mark: the window is let in as a range.
#[test]
fn a_window_that_is_dropped_without_nftables() {
    for firewall in [
        "nft flush chain inet filter input; nft add rule inet filter input tcp dport 21 accept",
        "nft flush ruleset; iptables -P INPUT DROP; iptables -A INPUT -p tcp -m tcp --dport 21 -j ACCEPT",
    ] {
        let site = Site::healthy();
        site.configure("pinholes: {firewall: none}\n");
        site.run(firewall);
        site.check().expect("window_dropped", "error");
        site.mend("window_dropped");
        assert_eq!(site.check().code, 0);
    }
}

#[test]
fn marks_that_others_set_or_compare() {
    let chain = "nft add table inet shaping
        nft 'add chain inet shaping tag { type filter hook prerouting priority mangle; }'";
    for (rule, check) in [
        (
            "nft add rule inet shaping tag ct mark set ct mark or 0x1000",
            "mark_set",
        ),
        (
            "nft add rule inet shaping tag ct mark set ct mark and 0xffff0fff",
            "mark_cleared",
        ),
        (
            "nft add rule inet shaping tag ct mark and 0x3000 == 0x2000 counter",
            "mark_compared",
        ),
        (
            "iptables -t mangle -A PREROUTING -j CONNMARK --set-xmark 0x1000/0x1000",
            "mark_set",
        ),
        (
            "iptables -t mangle -A PREROUTING -j CONNMARK --save-mark --mask 0xf000",
            "mark_cleared",
        ),
    ] {
        let site = Site::healthy();
        site.run(&format!("{chain}\n{rule}"));
        let report = site.check();
        report.expect(check, "warning");
        // What mends it is not a command but another bit, in the configuration and in the operator's line.
        let help = report.findings[0]["help"].as_str().expect("help");
        let bit = help.split('"').nth(1).unwrap_or_else(|| panic!("{help}"));
        site.configure(&format!(
            "pinholes: {{firewall: nftables, mark: \"{bit}\"}}\n"
        ));
        site.mend("marked_dropped");
        assert_eq!(site.check().code, 0, "{rule}");
    }
    let site = Site::healthy();
    site.run(&format!(
        "{chain}\nnft add rule inet shaping tag ct mark set meta mark"
    ));
    let report = site.check();
    report.expect("mark_cleared", "warning");
    let help = report.findings[0]["help"].as_str().expect("help");
    assert!(help.contains("write only bits of its own"), "{help}");
    site.run(
        "nft flush chain inet shaping tag
        nft add rule inet shaping tag ct mark set ct mark and 0xffffff00 or 0x5",
    );
    assert_eq!(site.check().code, 0);
}

#[test]
fn a_server_that_would_answer_past_us() {
    let site = Site::healthy();
    site.configure("upstreams: {legacy: {addresses: [\"192.0.2.7\"], source: client}}\n");
    assert_eq!(site.check().code, 0, "a server behind us");
    site.run("ip route add default via 192.0.2.99");
    let report = site.check();
    report.expect("return_route", "warning");
    let help = report.findings[0]["help"].as_str().expect("help");
    assert!(
        help.contains("ip route replace default via 192.0.2.1"),
        "{help}"
    );
    // The line, on the server: packets to clients come back through us.
    let line = help.split('`').nth(1).expect("a command");
    let output = site
        .lab
        .command(Node::Server, "sh")
        .args(["-c", line])
        .output();
    assert!(output.expect("a shell").status.success());
    let way = site
        .lab
        .command(Node::Server, "ip")
        .args(["route", "get", "198.51.100.7"])
        .output();
    let way = String::from_utf8(way.expect("ip").stdout).expect("UTF-8");
    assert!(way.contains("via 192.0.2.1"), "{way}");
}

#[test]
fn a_server_without_a_route() {
    let site = Site::healthy();
    site.configure("upstreams: {legacy: {addresses: [\"10.99.0.5\"]}}\n");
    site.check().expect("no_route", "error");
    site.run("ip route add 10.99.0.0/16 via 192.0.2.7");
    assert_eq!(site.check().code, 0);
}

#[test]
fn too_few_descriptors() {
    let site = Site::healthy();
    let poor = format!("ulimit -Sn 64; {}", site.command());
    let report = site.check_with(&poor);
    report.expect("descriptors", "error");
    let [command] = report
        .commands("descriptors")
        .try_into()
        .expect("one command");
    let mended = format!("ulimit -Sn 64; {command}; {}", site.command());
    assert_eq!(site.check_with(&mended).code, 0);
}

/// In a mount namespace with an /etc of its own: the machine's users stay as they are.
#[test]
fn a_user_that_is_missing() {
    let site = Site::healthy();
    let private = "mkdir -p etc; cp -a /etc/. etc; mount --bind etc /etc";
    let user = "pc-nobody-yet";
    site.configure("");
    site.run(&format!(
        "sed -i 's/user: 65534/user: {user}/' portcullis.yaml"
    ));
    let report = site.check_with(&format!("{private}; {}", site.command()));
    report.expect("account", "error");
    let [command] = report.commands("account").try_into().expect("one command");
    assert_eq!(
        site.check_with(&format!("{private}; {command}; {}", site.command()))
            .code,
        0
    );
    assert!(!site.try_run(&format!("id {user}")).status.success());
}

#[test]
fn a_user_without_privilege() {
    let site = Site::healthy();
    site.run(&format!(
        "cp '{}' portcullis; chmod 755 portcullis; chmod 644 portcullis.yaml",
        env!("CARGO_BIN_EXE_portcullis")
    ));
    let unprivileged = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
        ./portcullis check --system --format json portcullis.yaml";
    site.check_with(unprivileged)
        .expect("capabilities", "error");
    site.configure("pinholes: {firewall: none}\n");
    let report = site.check_with(unprivileged);
    assert_eq!(report.code, 0, "{:?}", report.findings);
    assert!(report.about("capabilities").is_empty());
}
