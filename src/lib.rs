//! Portcullis, an FTP-aware gateway: it opens exactly one port, for one client, for one transfer, and shuts it again.
//!
//! An FTP session is a pure value: [`engine::Session::handle`] takes a fact (bytes arrived, a pinhole is open, time
//! passed) and returns requests in the order in which they must happen (write this record, open that pinhole, send
//! these bytes). The [`gateway`] performs the requests with sockets; the tests perform them with nothing at all.
//!
//! # Glossary
//!
//! One word per thing, in code, journal, configuration and README alike.
//!
//! - **client**: who dialled us. **upstream**: the FTP server that we dial. The two [sides](engine::Side) of a session.
//! - **target**: the address that the client dialled. **gateway**: our own address towards the upstream. With client and
//!   upstream these are the four address roles; none stands in for another.
//! - **listener**: an address where clients arrive.
//! - **control connection**: the TCP connection of commands and replies; a session has one on each side.
//! - **data connection**: a TCP connection that carries one transfer.
//! - **session**: a client's control connection, its upstream control connection, and all that was negotiated on them.
//! - **verb**, **command**, **reply**: `RETR`; `RETR name`; `226 Done.`
//! - **leg**: one side's half of a data connection. A leg *awaits* its peer's dial, or *dials* its peer. Each leg is
//!   negotiated on its own: what the client asked for and what the upstream speaks are two things.
//! - **pinhole**: permission for exactly one data connection, from one peer, at one address and port: an awaiting leg
//!   made real. It is *reserved* (bound), *open* (listening), *used* (its one connection came), *closed*.
//! - **window**: the small range of ports in which pinholes for clients open; those for upstreams have a window of
//!   their own.
//! - **guard**: what keeps a port of the window shut to everyone but the awaited peers: the kernel's firewall, or without
//!   it a socket filter, where the kernel takes it.
//! - **forwarded**, **relayed**: a data connection carried by the kernel, which joins its two legs; or by this process.
//! - **broker**: the small privileged process of `firewall: nftables`, the parent of the gateway's; it alone may touch
//!   the firewall, and reads no byte from the network. Its **envelope** is what it does at most, whoever asks.
//! - **rule**, **request**, **verdict**, **decision**: what is allowed; the question; allow or deny; the verdict with the
//!   rule that gave it and why.
//! - **exit point**: where a rule has somebody else decide, a program or a server at a Unix socket, by one question and one
//!   answer.
//! - **record**, **journal**: one event as a value, before it is text; the log of all of them.
//! - **lane**: one direction of a session's dialogue. It is *held* while its next line has to wait: while a pinhole
//!   opens, a record is not accepted yet, or an answer is due first.
//! - **fence**: a command that lets nothing pass it until its final reply has come.
//!
//! Facts ([`engine::Input`]) are named by past participles, requests ([`engine::Output`]) by imperatives, states by
//! adjectives, faults by who is to blame for them.
//!
//! # Map
//!
//! Pure: no sockets, files, clocks, threads or randomness; time and facts are handed in.
//!
//! - [`ftp`]: the language of the control connection. Lines and Telnet, verbs, commands, replies, the addresses inside
//!   them, FEAT, and the masking and escaping of what peers sent.
//! - [`policy`]: what is allowed. One function from a request to a decision, and the YAML form of the rules.
//! - [`engine`]: the session's state machine, its deadlines, the replies that we make ourselves, and the journal's events
//!   as data with their catalogue.
//!
//! - [`yaml`]: how any YAML of ours is read: typed values, and every complaint with its place.
//!
//! With the world:
//!
//! - [`config`]: YAML and flags to a checked [`config::Config`]; every complaint names its place.
//! - [`rules`]: the rule files that come with the program and those that a configuration names, to a rule set.
//! - [`system`]: whether a machine suits a configuration, and what mends it, for `portcullis check --system`.
//! - [`pinhole`]: pinholes made real (windows, listeners, guard), here or in the kernel, dials, and the relay that carries
//!   the bytes. Every socket comes from one trait, [`pinhole::Sockets`], so that the broker can lend some.
//! - [`nft`]: pinholes in the kernel. What is asked of the firewall ([`nft::Firewall`]), the broker with its messages and
//!   its envelope, the gateway's client, and the one table. It knows how processes end, from `sandbox`, and nothing else.
//! - [`gateway`]: listeners and admission, the driver that performs a session's requests, upstreams and their fail-over,
//!   the [journal](gateway::journal) as text, the control socket, reload and drain.
#![cfg_attr(
    feature = "demo",
    doc = "- [`demo`]: a small FTP server and client, written apart from `ftp`, for `portcullis demo`."
)]
#![cfg_attr(
    not(feature = "demo"),
    doc = "- `demo` (a feature): a small FTP server and client, written apart from `ftp`, for `portcullis demo`."
)]
//! - [`sandbox`]: what each process of `firewall: nftables` may still do, put in force.
//! - [`helper`]: the process that resolves names for a confined gateway and asks whom the rules name, and the lines between
//!   them; without a broker the gateway does both itself.
//! - [`cli`]: one file per subcommand. `main` parses, dispatches and returns the exit code.
//!
//! # Who may know whom
//!
//! ```text
//! main -> cli -> gateway -> pinhole -> engine -> policy -> ftp
//!          |        |           |        ^         '-----> yaml
//!          |        |           '-> nft  |
//!          |        '--------------------+
//!          |        +-> rules -> policy, config
//!          |        +-> config -> yaml
//!          |        '-> helper -> sandbox
//!          +-> rules, config
//!          +-> helper, nft -> sandbox
//!          +-> system -> config
//!          '-> demo
//! ```
//!
//! An arrow may be followed further, never backwards. `yaml`, `ftp`, `sandbox` and `demo` know none of the others. The gateway
//! never looks into FTP text; the engine never touches a socket; `pinhole` does not know why a hole opens.

pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod engine;
pub mod ftp;
pub mod gateway;
pub mod helper;
pub mod nft;
pub mod pinhole;
pub mod policy;
pub mod rules;
pub mod sandbox;
pub mod system;
pub mod tls;
pub mod yaml;
