//! A gateway's machine in a namespace, the configuration that is checked against it, and what the check says.

use std::path::PathBuf;
use std::process::Output;

use portcullis_netlab::{Lab, Node};
use serde_json::Value;

/// A machine that lacks nothing, until a test spoils it.
pub struct Site {
    pub lab: Lab,
    config: PathBuf,
}

/// What the check said.
pub struct Report {
    pub code: i32,
    pub findings: Vec<Value>,
}

/// Everything that a gateway in front of a server on both families wants.
const HEALTHY: &str = "
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    sysctl -qw net.netfilter.nf_conntrack_acct=1
    sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.all.route_localnet=0
";

/// A firewall as many have it, with our one line in input and forward.
pub const DEFAULT_DROP: &str = "
    nft -f - <<'RULES'
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
        ip protocol icmp accept
        meta l4proto ipv6-icmp accept
        tcp dport 21 accept
        ct mark and 0x1000 == 0x1000 accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ct mark and 0x1000 == 0x1000 accept
    }
}
RULES
";

impl Site {
    /// Makes a machine that forwards between a client and a server, without any firewall rule.
    pub fn bare() -> Self {
        let lab = Lab::new(&[Node::Client, Node::Server]).expect("a laboratory");
        let config = lab.directory().join("portcullis.yaml");
        let site = Self { lab, config };
        site.configure("");
        site.run(HEALTHY);
        site
    }

    /// Makes a machine that lacks nothing.
    pub fn healthy() -> Self {
        let site = Self::bare();
        site.run(DEFAULT_DROP);
        let report = site.check();
        assert_eq!(
            (report.code, report.findings.as_slice()),
            (0, [].as_slice())
        );
        site
    }

    /// Writes the configuration, with more text behind what is always in it; `pinholes` and `limits` may be said anew.
    pub fn configure(&self, more: &str) {
        let mut text =
            "version: 1\nlisteners: {main: {listen: [\"*:21\"]}}\nprocess: {user: 65534}\n"
                .to_owned();
        for (key, default) in [
            (
                "upstreams:",
                "upstreams: {legacy: {addresses: [\"192.0.2.7\", \"[2001:db8:2::7]\"]}}\n",
            ),
            ("pinholes:", "pinholes: {firewall: nftables}\n"),
            ("limits:", "limits: {sessions: 100}\n"),
        ] {
            if !more.contains(key) {
                text.push_str(default);
            }
        }
        text.push_str(more);
        std::fs::write(&self.config, text).expect("a configuration");
    }

    /// Runs a script on the machine and returns what it printed.
    pub fn run(&self, script: &str) -> String {
        let output = self.try_run(script);
        assert!(
            output.status.success(),
            "{script}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn try_run(&self, script: &str) -> Output {
        self.lab
            .command(Node::Gateway, "sh")
            .args(["-e", "-c", script])
            .current_dir(self.lab.directory())
            .output()
            .expect("a shell")
    }

    /// Returns the command that checks the machine, for use in scripts.
    pub fn command(&self) -> String {
        format!(
            "'{}' check --system --format json '{}'",
            env!("CARGO_BIN_EXE_portcullis"),
            self.config.display()
        )
    }

    pub fn check(&self) -> Report {
        self.check_with(&self.command())
    }

    /// Runs the check by a script that has [`Site::command`] in it.
    pub fn check_with(&self, script: &str) -> Report {
        let output = self.try_run(script);
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
        });
        let system = report["files"][0]["system"].as_array();
        Report {
            code: output.status.code().expect("it ends by itself"),
            findings: system.cloned().unwrap_or_default(),
        }
    }

    /// Runs what the findings of `check` print, and expects that nothing is found any more.
    pub fn mend(&self, check: &str) {
        for command in self.check().commands(check) {
            self.run(&command);
        }
        let report = self.check();
        assert_eq!(report.about(check), [] as [&Value; 0], "after mending");
    }
}

impl Report {
    /// Returns the findings of one check.
    pub fn about(&self, check: &str) -> Vec<&Value> {
        let about = self
            .findings
            .iter()
            .filter(|finding| finding["check"] == check);
        about.collect()
    }

    /// Returns the commands of the findings of one check, of which there has to be one.
    pub fn commands(&self, check: &str) -> Vec<String> {
        let commands: Vec<String> = self
            .about(check)
            .into_iter()
            .flat_map(|finding| finding["commands"].as_array().cloned().unwrap_or_default())
            .map(|command| command.as_str().expect("text").to_owned())
            .collect();
        assert!(
            !commands.is_empty(),
            "no command of {check} in {:?}",
            self.findings
        );
        commands
    }

    /// Expects findings of one check and of no other, all of one severity, and the exit code that follows from it.
    pub fn expect(&self, check: &str, severity: &str) {
        assert!(!self.findings.is_empty(), "nothing was found");
        for finding in &self.findings {
            assert_eq!(
                (finding["check"].as_str(), finding["severity"].as_str()),
                (Some(check), Some(severity)),
                "{:?}",
                self.findings
            );
            for said in ["message", "why"] {
                assert!(
                    !finding[said].as_str().unwrap_or_default().is_empty(),
                    "{finding}"
                );
            }
            let mends = finding["commands"]
                .as_array()
                .is_some_and(|commands| !commands.is_empty());
            assert!(mends || finding["help"].is_string(), "{finding}");
        }
        assert_eq!(
            self.code,
            i32::from(severity == "error"),
            "{:?}",
            self.findings
        );
    }
}
