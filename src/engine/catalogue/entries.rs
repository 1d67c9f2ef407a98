//! The entries of the event catalogue, in the order of a session's life.

use super::{Entry, Event, Severity, catalogue};

catalogue! {
    GatewayStarted "gateway.started" Info {
        meaning: "The gateway is up; a new process begins here.",
        gateway: "Counts `seq` from 1 again. No pinhole of an earlier process is open any more.",
        operator: "Nothing. Unexpected ones mean that something restarts the gateway: see the service manager's log.",
        fields: ["version", "config", "rules"],
    }
    GatewayReloaded "gateway.reloaded" Info {
        meaning: "A new config and its rules are in force.",
        gateway: "Judges the next command of every session by them; what runs goes on.",
        operator: "Compare the digests with those that you meant to load.",
        fields: ["config", "rules"],
    }
    ReloadRefused "reload.refused" Warning {
        meaning: "The gateway was told to reload, and the config, a rule file or a password file is wrong.",
        gateway: "Changed nothing; what was in force stays so.",
        operator: "Correct what `why` names, and reload again.",
        fields: ["why"],
    }
    CertificateExpiring "certificate.expiring" Warning {
        meaning: "A certificate of the gateway ends in less than two weeks.",
        gateway: "Goes on with it; says so once a day. A new file is put in force within a minute.",
        operator: "Renew it. After its end the gateway does not start with it, and clients refuse it.",
        fields: ["file", "days"],
    }
    GatewayStopping "gateway.stopping" Info {
        meaning: "The gateway was told to stop.",
        gateway: "Takes no new sessions; lets running transfers finish until `timeouts.drain`.",
        operator: "Wait, or end the rest with `portcullis ctl kill`.",
        fields: ["sessions"],
    }
    SessionOpened "session.opened" Info {
        meaning: "A client arrived and was admitted.",
        gateway: "Dials the upstream.",
        operator: "Nothing.",
        fields: ["from", "target", "listener", "upstream"],
    }
    ConnectionDenied "connection.denied" Notice {
        meaning: "A rule turned a client away as it arrived.",
        gateway: "Said so and closed; no upstream was dialled.",
        operator: "If it should come in, see the rule that is named.",
        fields: ["from", "target", "listener", "upstream", "rule", "file?", "line?", "code"],
    }
    UpstreamConnected "upstream.connected" Info {
        meaning: "The control connection to the upstream is up.",
        gateway: "Passes the dialogue on.",
        operator: "Nothing.",
        fields: ["to", "gateway"],
    }
    UpstreamUnreachable "upstream.unreachable" Warning {
        meaning: "No address of the upstream could be dialled.",
        gateway: "Told the client 421 and closed; the next client is tried anew.",
        operator: "See whether the server runs and whether the gateway may reach it.",
        fields: ["why"],
    }
    TlsEstablished "tls.established" Info {
        meaning: "A control connection, or with `transfer` one leg of a data connection, is in TLS.",
        gateway: "Takes everything behind it from inside TLS alone.",
        operator: "Nothing. An old version or cipher tells which clients would be lost by forbidding it.",
        fields: ["side", "transfer?", "tls", "cipher", "resumed", "sni?", "certificate?"],
    }
    TlsFailed "tls.failed" Warning {
        meaning: "There is no TLS where it was begun or is required.",
        gateway: "Control connection: closed the session, with nothing more in clear. Data connection: carried nothing, and told the client 522 or 425.",
        operator: "`why` and `alert` say who did not like what. `old_version`: that program can't be served. `certificate_*` with `side: upstream`: see the server's certificate.",
        fields: ["side", "transfer?", "why", "alert?"],
    }
    TlsDeclined "tls.declined" Warning {
        meaning: "The server refused TLS, or TLS for data connections, by its reply to `command`.",
        gateway: "Went on in clear towards the server, as `policy: prefer` allows.",
        operator: "Switch TLS on at the server and set `policy: require`; or set `mode: none` to be rid of these.",
        fields: ["command", "code"],
    }
    LoginSucceeded "login.succeeded" Info {
        meaning: "The server accepted the user.",
        gateway: "Passed the reply on.",
        operator: "Nothing.",
        fields: ["email?"],
    }
    LoginFailed "login.failed" Notice {
        meaning: "A login was refused: by the server, or by a rule, which the `command.denied` before it names.",
        gateway: "Told the client, no sooner than `login_guard.delay` after its command; counted it towards a ban of its address.",
        operator: "Nothing: many from one address are password guessing, and end in `address.banned`.",
        fields: ["code"],
    }
    AddressBanned "address.banned" Warning {
        meaning: "An address failed to log in `login_guard.tries` times within the time of a ban, or an operator banned it.",
        gateway: "Ended its sessions that were not logged in; turns its connections away until `until`, with 421, or with nothing where the kernel drops them.",
        operator: "If it is one of yours (many users behind one address), `portcullis ctl unban` it, and name it in `login_guard.never_ban`.",
        fields: ["from", "reason", "failures?", "until", "in_kernel"],
    }
    AddressUnbanned "address.unbanned" Info {
        meaning: "A ban is over.",
        gateway: "Takes connections of that address again.",
        operator: "Nothing.",
        fields: ["from", "reason", "turned_away"],
    }
    CommandDenied "command.denied" Notice {
        meaning: "A rule denied a command.",
        gateway: "Answered it; the server never saw it.",
        operator: "If it should pass, see the rule that is named; `portcullis explain` says why it applies.",
        fields: ["command", "moment", "rule", "file?", "line?", "code"],
    }
    AskAnswered "ask.answered" Info {
        meaning: "Whoever a rule asks about a login or a command has answered.",
        gateway: "Did so. After a refusal `command.denied` follows, with the reply's code.",
        operator: "Nothing. Long `seconds` are felt by the user.",
        fields: ["command", "moment", "rule", "file", "line", "answer", "upstream?", "login_as?", "start_in?", "seconds"],
    }
    AskFailed "ask.failed" Warning {
        meaning: "Whoever a rule asks about a login or a command gave no answer that could be used.",
        gateway: "Refused it; `command.denied` follows.",
        operator: "See `why`, and run the program by hand with a question such as the ones that the rules' documentation shows.",
        fields: ["command", "moment", "rule", "file", "line", "why", "seconds"],
    }
    RuleObserved "rule.observed" Notice {
        meaning: "A rule that only observes matched.",
        gateway: "Did as if the rule were not there.",
        operator: "When nothing is named any more that should pass, take `observe: true` out of the rule.",
        fields: ["command?", "moment", "rule", "file?", "line?", "would"],
    }
    CheckObserved "check.observed" Notice {
        meaning: "A check of the gateway's own that only observes would have refused a command.",
        gateway: "Let it pass, as the listener's `observe` says.",
        operator: "When no client is named any more, take the check out of `observe`.",
        fields: ["command", "check", "code"],
    }
    CommandRefused "command.refused" Notice {
        meaning: "The gateway itself refused a command that is malformed, or that would set up data behind its back.",
        gateway: "Answered it; the server never saw it.",
        operator: "Nothing, if it is rare: old or hostile clients send such commands. `why` says which kind it is.",
        fields: ["command", "why", "code"],
    }
    AddressBounce "address.bounce" Warning {
        meaning: "A client named another host, or a port below 1024, in PORT or EPRT (RFC 2577).",
        gateway: "Answered 504; opened nothing and dialled nobody.",
        operator: "A client behind NAT should use passive mode. From anybody else it is an attempt to use the server against others.",
        fields: ["address", "command"],
    }
    AddressForeign "address.foreign" Notice {
        meaning: "A server announced an address that is not its own.",
        gateway: "Used only the port, with the server's own address; or refused, as `refused` says.",
        operator: "Usual for a server behind NAT. Else correct the server's passive address.",
        fields: ["address", "refused"],
    }
    AddressMalformed "address.malformed" Warning {
        meaning: "A server announced something that is no usable address or port.",
        gateway: "Told the client 425; opened nothing.",
        operator: "See the server's passive settings, or set `data_mode: active` for this upstream.",
        fields: ["reply"],
    }
    AddressShut "address.shut" Warning {
        meaning: "A server, or an active client, on the gateway's own machine named a port of a window, which `firewall: nftables` keeps shut to the gateway too.",
        gateway: "Told the client 425; opened nothing and dialled nobody.",
        operator: "Give the server passive ports outside `pinholes.window` and `pinholes.upstream_window` (vsftpd: `pasv_min_port` and `pasv_max_port`, ProFTPD: `PassivePorts`, Pure-FTPd: `-p`). Have the client use passive mode, or keep the windows outside the kernel's ephemeral range.",
        fields: ["side", "address", "window"],
    }
    AddressMisleading "address.misleading" Warning {
        meaning: "A client with a public address was told to dial a private one.",
        gateway: "Announced it all the same; that client cannot reach it.",
        operator: "Set the listener's `advertise` to the public address.",
        fields: ["announced", "listener"],
    }
    ProtocolForeign "protocol.foreign" Warning {
        meaning: "A client spoke another protocol, or one that is not configured here.",
        gateway: "Closed the session without passing a byte on.",
        operator: "Usually a scanner, or a browser that was tricked. If it is a load balancer, let it send no PROXY header.",
        fields: ["protocol"],
    }
    ProtocolViolation "protocol.violation" Warning {
        meaning: "A peer broke the protocol.",
        gateway: "Repaired it where that is safe, as with replies around ABOR; else ended the session.",
        operator: "Look at the peer that `side` names: a broken program, or a hostile one.",
        fields: ["side", "what"],
    }
    PinholeOpened "pinhole.opened" Info {
        meaning: "A pinhole opens: one connection, from `from`, at `at`.",
        gateway: "Wrote this before anything could get in there, and announces the address only after it is open.",
        operator: "Nothing; `portcullis journal pinholes` shows them as a table.",
        fields: ["pinhole", "transfer", "side", "from", "at", "leads_to?", "command", "ttl", "carried"],
    }
    PinholeRefused "pinhole.refused" Warning {
        meaning: "No pinhole could be opened.",
        gateway: "Told the client 425; announced nothing.",
        operator: "`no_port`: widen `pinholes.window`. `kernel`, `resources`: see the gateway's log.",
        fields: ["side", "from", "why", "in_use?"],
    }
    PinholeUsed "pinhole.used" Info {
        meaning: "The first and only connection came in. Of one that the kernel forwards it is written up to 5 ms later.",
        gateway: "Shut the pinhole behind it.",
        operator: "Nothing.",
        fields: ["pinhole", "side", "peer", "at"],
    }
    PinholeClosed "pinhole.closed" Info {
        meaning: "A pinhole's life is over: the whole of it in one line.",
        gateway: "Holds nothing of it any more.",
        operator: "Many `never_used` from many clients mean that a firewall in front shuts the window: let `pinholes.window` in.",
        fields: [
            "pinhole", "transfer", "side", "from", "at", "leads_to?", "command", "opened", "used?",
            "seconds", "bytes_up?", "bytes_down?", "wire_bytes_up?", "wire_bytes_down?", "packets_up?",
            "packets_down?", "reason", "carried",
        ],
    }
    PinholeIntruder "pinhole.intruder" Warning {
        meaning: "Somebody who was not awaited reached a port of the window.",
        gateway: "Turned the connection away without a byte; the pinhole stayed for its owner.",
        operator: "Single ones are scanners. If it is the client by another address (several NAT addresses), see `peer: prefix`.",
        fields: ["from", "at"],
    }
    DataDialled "data.dialled" Info {
        meaning: "The gateway dials one leg of a data connection: no pinhole, still shown.",
        gateway: "Wrote this before it dialled.",
        operator: "Nothing.",
        fields: ["transfer", "side", "to"],
    }
    DataFailed "data.failed" Notice {
        meaning: "One leg of a data connection did not come up.",
        gateway: "Told the client 425.",
        operator: "`side` names the peer: see the firewall between it and the gateway.",
        fields: ["transfer", "side", "why"],
    }
    TransferCompleted "transfer.completed" Info {
        meaning: "A transfer ended well.",
        gateway: "Passed the server's final reply on: when both legs had ended well, or at once if the kernel carried the data.",
        operator: "Nothing.",
        fields: [
            "transfer", "command", "path", "bytes_up?", "bytes_down?", "wire_bytes_up?", "wire_bytes_down?",
            "packets_up?", "packets_down?", "seconds", "unacknowledged?",
        ],
    }
    TransferFailed "transfer.failed" Notice {
        meaning: "A transfer failed.",
        gateway: "Told the client so; reset both legs, so that nothing that was cut off looks complete.",
        operator: "See `why`; the file on the receiving side may be incomplete.",
        fields: [
            "transfer", "command", "path", "bytes_up?", "bytes_down?", "wire_bytes_up?", "wire_bytes_down?",
            "packets_up?", "packets_down?", "seconds", "code?", "why",
        ],
    }
    SessionClosed "session.closed" Info {
        meaning: "A session is over.",
        gateway: "Closed both control connections; every pinhole of it was closed and recorded before.",
        operator: "Nothing.",
        fields: ["reason", "seconds", "commands", "transfers", "pinholes"],
    }
    LimitReached "limit.reached" Warning {
        meaning: "A bound was full.",
        gateway: "Turned somebody away, with an honest reply where there is a dialogue.",
        operator: "Raise the limit that is named, if the load is legitimate.",
        fields: ["limit"],
    }
    JournalGap "journal.gap" Warning {
        meaning: "The journal could not be written for a time; `lost` records that no effect waited for are missing (0: none).",
        gateway: "Opened no pinhole in that time (451 to clients), kept what fitted in memory, and counted the rest.",
        operator: "Free the disk, or restart whatever reads the journal; treat the time before this line as incomplete.",
        fields: ["lost"],
    }
}
