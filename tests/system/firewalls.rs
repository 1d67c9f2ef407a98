//! The operator's one line, in each kind of firewall: what it lets in without it, and what with it.

use portcullis_netlab::{Family, server};
use serde_json::Value;

use crate::flows::{Through, try_all, with_pinholes};
use crate::site::{Report, Site};

/// What a default-drop firewall of input and forward lets through without our line.
const WITHOUT: Through = Through {
    forwarded: false,
    relayed: false,
    ..Through::WANTED
};

/// Tries a firewall without our line, mends it with what the check prints, and tries again.
fn mended_by_the_printed_line(firewall: &str, without: Through, families: &[Family]) {
    let site = Site::bare();
    if families == [Family::V4] {
        site.configure("upstreams: {legacy: {addresses: [\"192.0.2.7\"]}}\n");
    }
    with_pinholes(&site, |pinholes| {
        site.run(firewall);
        for family in families {
            assert_eq!(
                try_all(&site, pinholes, *family, without),
                without,
                "without, {}",
                family.name()
            );
        }
        let report = site.check();
        assert_eq!(report.code, 1, "{:?}", report.findings);
        for finding in unexpected(&report) {
            assert_eq!(finding["severity"], "error", "{finding}");
        }
        let checks: Vec<&str> = report
            .findings
            .iter()
            .filter_map(|finding| finding["check"].as_str())
            .collect();
        for check in ["clients_dropped", "marked_dropped", "dials_dropped"] {
            if checks.contains(&check) {
                site.mend(check);
            }
        }
        let with = Through::WANTED;
        for family in families {
            let got = try_all(&site, pinholes, *family, with);
            assert_eq!(
                got,
                with,
                "with, {}\n{}",
                family.name(),
                site.run("nft list ruleset")
            );
        }
        let report = site.check();
        assert_eq!(unexpected(&report), [] as [&Value; 0]);
    });
}

/// Returns all findings but those that are right here: the test listens in the window and at the NFLOG groups, in the
/// place of the gateway.
fn unexpected(report: &Report) -> Vec<&Value> {
    let findings = report.findings.iter();
    findings
        .filter(|finding| finding["check"] != "window_taken" && finding["check"] != "nflog_taken")
        .collect()
}

#[test]
fn nftables_that_drops_input_and_forward() {
    mended_by_the_printed_line(
        "nft -f - <<'RULES'
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state vmap { established : accept, related : accept, invalid : drop }
        iif lo accept
        meta l4proto { icmp, ipv6-icmp } accept
        tcp dport { 21, 22 } accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
    }
    chain output {
        type filter hook output priority filter; policy accept;
    }
}
RULES",
        WITHOUT,
        &Family::BOTH,
    );
}

/// The strictest: nothing established is let through by itself, nothing leaves, and even port 21 was forgotten.
#[test]
fn nftables_that_drops_everything() {
    mended_by_the_printed_line(
        "nft -f - <<'RULES'
table inet fw {
    chain in { type filter hook input priority filter; policy accept; jump checks; counter drop; }
    chain checks { iif lo accept; meta l4proto ipv6-icmp accept; ct state established accept; udp dport 53 accept; }
    chain through { type filter hook forward priority filter; policy drop; udp dport 53 accept; }
    chain out { type filter hook output priority filter; policy drop; oif lo accept; meta l4proto ipv6-icmp accept; udp sport 53 accept; }
}
RULES",
        Through {
            control: false,
            dialled: false,
            ..WITHOUT
        },
        &[Family::V4],
    );
}

/// iptables as distributions ship it: INPUT and FORWARD drop, what is established passes.
fn iptables(v4: &str, v6: &str) -> String {
    let mut script = String::new();
    for program in [v4, v6] {
        script.push_str(&format!(
            "{program} -P INPUT DROP; {program} -P FORWARD DROP
             {program} -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
             {program} -A INPUT -i lo -j ACCEPT
             {program} -A INPUT -p tcp -m tcp --dport 21 -j ACCEPT
             {program} -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
        ));
    }
    script.push_str(&format!("{v6} -A INPUT -p ipv6-icmp -j ACCEPT\n"));
    script
}

#[test]
fn iptables_on_nftables() {
    mended_by_the_printed_line(
        &iptables("iptables-nft", "ip6tables-nft"),
        WITHOUT,
        &Family::BOTH,
    );
}

#[test]
fn iptables_of_old() {
    mended_by_the_printed_line(
        &iptables("iptables-legacy", "ip6tables-legacy"),
        WITHOUT,
        &Family::BOTH,
    );
}

/// Docker's daemon with directories and a socket of its own, unpacked or installed; the laboratory's end ends it. It switches
/// forwarding on itself, and only then sets the policy of FORWARD to DROP.
fn docker() -> String {
    let usr = server::directory_with(&["sbin/dockerd", "bin/containerd"])
        .expect("Docker's daemon: `scripts/test` unpacks it");
    let usr = usr.display();
    format!(
        "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
         if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
             mount -t tmpfs none /sys/fs/cgroup; mkdir /sys/fs/cgroup/devices
             mount -t cgroup -o devices none /sys/fs/cgroup/devices
         fi
         PATH=$PATH:{usr}/sbin:{usr}/bin dockerd --data-root $PWD/docker --exec-root $PWD/docker-run --pidfile $PWD/docker-pid \
             --host unix://$PWD/docker-socket --storage-driver vfs >docker.log 2>&1 &
         tries=0
         until curl -s -o ping --unix-socket docker-socket http://docker/_ping; do
             tries=$((tries + 1)); if [ $tries -ge 300 ]; then cat docker.log; exit 1; fi; sleep 0.1
         done"
    )
}

#[test]
fn a_docker_host() {
    mended_by_the_printed_line(
        &docker(),
        Through {
            relayed: true,
            ..WITHOUT
        },
        &[Family::V4],
    );
}

/// What README tells for Docker hosts stays when Docker makes its rules anew.
#[test]
fn a_docker_host_with_the_line_of_readme() {
    let site = Site::bare();
    site.configure("upstreams: {legacy: {addresses: [\"192.0.2.7\"]}}\n");
    with_pinholes(&site, |pinholes| {
        site.run(&docker());
        site.run("iptables -I DOCKER-USER -m connmark --mark 0x1000/0x1000 -j ACCEPT");
        let network = |name: &str| {
            site.run(&format!(
                "curl -sf -o made --unix-socket docker-socket -H 'Content-Type: application/json' \
                     -d '{{\"Name\": \"{name}\", \"Driver\": \"bridge\"}}' http://docker/networks/create
                 iptables -S DOCKER-ISOLATION-STAGE-2"
            ))
        };
        // Docker writes rules for each network.
        let (one, two) = (network("one"), network("two"));
        assert_ne!(one, two, "rules were made anew");
        let got = try_all(&site, pinholes, Family::V4, Through::WANTED);
        assert_eq!(got, Through::WANTED, "{}", site.run("iptables-save"));
        let report = site.check();
        assert_eq!(unexpected(&report), [] as [&Value; 0]);
    });
}

/// ufw with its files bound over the machine's own, in the mount namespace of one script: the machine's stay as they are.
const UFW: &str = "
    if [ ! -d ufw ]; then
        mkdir ufw ufw-lib; cp -a /etc/ufw/. ufw; cp -a /lib/ufw/. ufw-lib; cp /etc/default/ufw ufw-default
    fi
    mount --bind ufw /etc/ufw; mount --bind ufw-lib /lib/ufw; mount --bind ufw-default /etc/default/ufw
";

/// What README tells for ufw: the line in before.rules and, for IPv6, in before6.rules.
const UFW_LINES: &str = "
    for hook in input forward; do
        sed -i \"s|^COMMIT|-A ufw-before-$hook -m connmark --mark 0x1000/0x1000 -j ACCEPT\\n&|\" /etc/ufw/before.rules
        sed -i \"s|^COMMIT|-A ufw6-before-$hook -m connmark --mark 0x1000/0x1000 -j ACCEPT\\n&|\" /etc/ufw/before6.rules
    done
    ufw reload
";

#[test]
fn ufw() {
    let firewall = format!("{UFW}ufw allow 21/tcp; ufw --force enable");
    mended_by_the_printed_line(&firewall, WITHOUT, &Family::BOTH);
}

#[test]
fn ufw_with_the_lines_in_its_files() {
    let site = Site::bare();
    with_pinholes(&site, |pinholes| {
        site.run(&format!("{UFW}ufw allow 21/tcp; ufw --force enable"));
        for family in Family::BOTH {
            assert_eq!(try_all(&site, pinholes, family, WITHOUT), WITHOUT);
        }
        let report = site.check();
        for finding in report.about("marked_dropped") {
            let help = finding["help"].as_str().expect("help");
            assert!(help.contains("/etc/ufw/before.rules"), "{help}");
        }
        site.run(&format!("{UFW}{UFW_LINES}"));
        for family in Family::BOTH {
            assert_eq!(
                try_all(&site, pinholes, family, Through::WANTED),
                Through::WANTED
            );
        }
        let report = site.check();
        assert_eq!(unexpected(&report), [] as [&Value; 0]);
    });
}

/// firewalld with a bus and settings of its own, in the mount namespace of one script; the laboratory's end ends both.
const FIREWALLD: &str = "
    cat >bus.conf <<CONF
<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN'
 'http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd'>
<busconfig>
  <type>system</type><listen>unix:path=$PWD/bus</listen><auth>EXTERNAL</auth>
  <policy context='default'><allow send_destination='*'/><allow receive_sender='*'/><allow own='*'/></policy>
</busconfig>
CONF
    mkdir firewalld; cp -a /etc/firewalld/. firewalld; mount --bind firewalld /etc/firewalld; mount -t tmpfs none /var/log
    export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$PWD/bus
    dbus-daemon --config-file=bus.conf --nofork --nopidfile --print-address=3 3>address >bus.log 2>&1 &
    tries=0; until [ -s address ]; do tries=$((tries + 1)); [ $tries -lt 300 ]; sleep 0.1; done
    firewalld --nofork --nopid >firewalld.log 2>&1 &
    tries=0; until firewall-cmd --state >/dev/null 2>&1; do tries=$((tries + 1)); [ $tries -lt 300 ]; sleep 0.1; done
    firewall-cmd --permanent --add-port=21/tcp; firewall-cmd --reload
";

/// What the kernel forwards is translated (`ct status dnat`), which firewalld accepts by itself; what is relayed is not.
const WITHOUT_IN_FIREWALLD: Through = Through {
    relayed: false,
    ..Through::WANTED
};

#[test]
fn firewalld() {
    mended_by_the_printed_line(FIREWALLD, WITHOUT_IN_FIREWALLD, &Family::BOTH);
}

/// firewalld has no word for a connection mark: what stays over its reloads are the windows' ports. The gateway's own table
/// keeps these shut.
#[test]
fn firewalld_with_the_windows_in_its_zone() {
    let site = Site::bare();
    with_pinholes(&site, |pinholes| {
        site.run(FIREWALLD);
        for family in Family::BOTH {
            let got = try_all(&site, pinholes, family, WITHOUT_IN_FIREWALLD);
            assert_eq!(got, WITHOUT_IN_FIREWALLD);
        }
        let with = Through::WANTED;
        site.run(
            "export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$PWD/bus
         firewall-cmd --permanent --add-port=21000-21015/tcp --add-port=22000-22999/tcp
         firewall-cmd --reload",
        );
        for family in Family::BOTH {
            assert_eq!(try_all(&site, pinholes, family, with), with);
        }
        let report = site.check();
        assert_eq!(unexpected(&report), [] as [&Value; 0]);
    });
}

/// Its service `ftp` brings the kernel's helper along.
#[test]
fn firewalld_with_the_kernels_helper() {
    let site = Site::bare();
    site.run(FIREWALLD);
    site.run(
        "export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$PWD/bus
         firewall-cmd --permanent --add-service=ftp; firewall-cmd --reload",
    );
    let report = site.check();
    let help = report.about("ftp_helper")[0]["help"]
        .as_str()
        .expect("help")
        .to_owned();
    assert!(help.contains("--remove-service=ftp"), "{help}");
    site.run(
        "export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$PWD/bus
         firewall-cmd --permanent --remove-service=ftp; firewall-cmd --reload",
    );
    assert!(site.check().about("ftp_helper").is_empty());
}
