//! What a reload can't change.

use super::Config;

impl Config {
    /// Returns the keys in which `new` differs from this running configuration and that only a restart changes: where
    /// clients arrive, the pinholes' settings, the control socket and the gateway's user.
    #[must_use]
    pub fn needs_restart(&self, new: &Self) -> Vec<String> {
        let names = self.listeners.keys().chain(new.listeners.keys());
        let mut keys: Vec<String> = names
            .filter(|name| {
                let addresses = |config: &Self| {
                    config
                        .listeners
                        .get(*name)
                        .map(|listener| listener.listen.clone())
                };
                addresses(self) != addresses(new)
            })
            .map(|name| format!("listeners.{name}.listen"))
            .collect();
        keys.sort();
        keys.dedup();
        let (old, pinholes) = (&self.pinholes, &new.pinholes);
        for (differs, key) in [
            (old.firewall != pinholes.firewall, "pinholes.firewall"),
            (old.mark != pinholes.mark, "pinholes.mark"),
            (
                old.nflog_group != pinholes.nflog_group,
                "pinholes.nflog_group",
            ),
            (old.window != pinholes.window, "pinholes.window"),
            (
                old.upstream_window != pinholes.upstream_window,
                "pinholes.upstream_window",
            ),
            (old.ttl != pinholes.ttl, "pinholes.ttl"),
            (self.control.socket != new.control.socket, "control.socket"),
            (self.process.user != new.process.user, "process.user"),
        ] {
            if differs {
                keys.push(key.to_owned());
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listeners: &str, rest: &str) -> Config {
        let text = format!(
            "version: 1\nlisteners: {{{listeners}}}\nupstreams: {{legacy: {{addresses: [\"10.0.0.5\"]}}}}\n{rest}"
        );
        Config::parse(&text, "test").unwrap().config
    }

    #[test]
    fn most_changes_need_no_restart() {
        let old = config("main: {listen: [\"*:21\"]}", "");
        let new = config(
            "main: {listen: [\"*:21\"], peer: prefix}",
            "limits: {sessions: 9}\njournal: {file: /j}\ntimeouts: {idle: 1m}",
        );
        assert_ne!(old, new);
        assert_eq!(old.needs_restart(&new), Vec::<String>::new());
    }

    #[test]
    fn listeners_pinholes_the_control_socket_and_the_user_do() {
        let old = config("a: {listen: [\"*:21\"]}, b: {listen: [\"*:2121\"]}", "");
        let new = config(
            "a: {listen: [\"*:2100\"]}, c: {listen: [\"*:2121\"]}",
            "pinholes: {firewall: nftables, mark: \"0x1\", nflog_group: 1, window: 30000-30001, upstream_window: 31000-31001, ttl: 1s}\ncontrol: {socket: none}\nprocess: {user: ftp}",
        );
        assert_eq!(
            old.needs_restart(&new),
            [
                "listeners.a.listen",
                "listeners.b.listen",
                "listeners.c.listen",
                "pinholes.firewall",
                "pinholes.mark",
                "pinholes.nflog_group",
                "pinholes.window",
                "pinholes.upstream_window",
                "pinholes.ttl",
                "control.socket",
                "process.user"
            ]
        );
    }
}
