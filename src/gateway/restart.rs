//! What of a new config has to wait for a restart.

use crate::config::Config;

/// Puts back into a new config what a running gateway cannot change; answers with the keys that differed.
pub fn keep_what_needs_a_restart(old: &Config, new: &mut Config) -> Vec<String> {
    let mut waiting = Vec::new();
    for (name, listener) in &old.listeners {
        match new.listeners.get_mut(name) {
            Some(now) if now.listen == listener.listen => {}
            Some(now) => {
                waiting.push(format!("listeners.{name}.listen"));
                now.listen.clone_from(&listener.listen);
            }
            // It goes on as it was, with the upstream that it had.
            None => waiting.push(format!("listeners.{name}")),
        }
    }
    for name in new
        .listeners
        .keys()
        .filter(|name| !old.listeners.contains_key(*name))
    {
        waiting.push(format!("listeners.{name}"));
    }
    if new.control.socket != old.control.socket {
        waiting.push("control.socket".to_owned());
        new.control.socket.clone_from(&old.control.socket);
    }
    if new.pinholes != old.pinholes {
        waiting.push("pinholes".to_owned());
        new.pinholes = old.pinholes.clone();
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_what_needs_a_restart_and_keeps_it_as_it_was() {
        let text = |listen: &str, more: &str| {
            format!(
                "version: 1\nlisteners:\n  main:\n    listen: [\"{listen}\"]\nupstreams:\n  old:\n    addresses: [\"10.0.0.5:21\"]\n{more}"
            )
        };
        let config = |text: String| Config::parse(&text, "test").expect("a good config").config;
        let old = config(text("127.0.0.1:2121", ""));
        let mut new = config(text(
            "127.0.0.1:2122",
            "pinholes: {ttl: 5s}\ncontrol: {socket: /tmp/other.sock}\ntimeouts: {idle: 1m}\n",
        ));
        let waiting = keep_what_needs_a_restart(&old, &mut new);
        assert_eq!(
            waiting,
            ["listeners.main.listen", "control.socket", "pinholes"]
        );
        assert_eq!(
            (&new.listeners, &new.pinholes, &new.control),
            (&old.listeners, &old.pinholes, &old.control)
        );
        assert_ne!(new.timeouts, old.timeouts);
        assert!(keep_what_needs_a_restart(&old.clone(), &mut old.clone()).is_empty());
    }
}
