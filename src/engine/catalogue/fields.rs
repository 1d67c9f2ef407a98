//! The names of the journal's fields: one meaning per name, in whichever event it stands.

/// One field of the journal's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The form of its value.
    pub form: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// Whether it belongs to the frame of every line, not to single events.
    pub everywhere: bool,
}

/// Looks a field up by name.
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

const fn frame(name: &'static str, form: &'static str, meaning: &'static str) -> Field {
    Field {
        name,
        form,
        meaning,
        everywhere: true,
    }
}

const fn own(name: &'static str, form: &'static str, meaning: &'static str) -> Field {
    Field {
        name,
        form,
        meaning,
        everywhere: false,
    }
}

/// Every field, those of the frame first and in their order.
pub static FIELDS: &[Field] = &[
    frame("time", "time", "When it happened."),
    frame(
        "seq",
        "number",
        "Counts the records of one run of the gateway from 1; a missing number is a record that was lost or torn.",
    ),
    frame("event", "word", "The event id."),
    frame("severity", "word", "`info`, `notice` or `warning`."),
    frame(
        "session",
        "text",
        "The session; absent for events of the gateway itself.",
    ),
    frame(
        "client",
        "address",
        "The client's address, where there is a client.",
    ),
    frame(
        "user",
        "text",
        "The user name as the client gave it, once it did.",
    ),
    own(
        "address",
        "address:port",
        "The address and port that a peer named.",
    ),
    own("alert", "text", "The TLS alert that ended the handshake."),
    own(
        "announced",
        "address",
        "The address that the client was told to dial.",
    ),
    own(
        "at",
        "address:port",
        "The gateway's own address and port where it is or was open.",
    ),
    own(
        "bytes_down",
        "number",
        "Bytes of data that the gateway carried from the upstream to the client; absent where the kernel did.",
    ),
    own(
        "bytes_up",
        "number",
        "Bytes of data that the gateway carried from the client to the upstream; absent where the kernel did.",
    ),
    own(
        "carried",
        "word",
        "Who carries the bytes: `relayed`, by the gateway; `forwarded`, by the kernel.",
    ),
    own(
        "certificate",
        "text",
        "The subject of the client's certificate.",
    ),
    own("cipher", "text", "The cipher suite."),
    own(
        "code",
        "number",
        "The code of the reply that the client got.",
    ),
    own(
        "command",
        "text",
        "The client's command or its verb; passwords are masked.",
    ),
    own("commands", "number", "Commands that the client sent."),
    own("config", "text", "Digest of the config in force."),
    own("days", "number", "Whole days that are left."),
    own(
        "email",
        "text",
        "What an anonymous user gave as password; only with `journal.anonymous_email: true`.",
    ),
    own(
        "file",
        "text",
        "The file that it is about; of a rule, where it stands: absent for the default verdict.",
    ),
    own("failures", "number", "How many refused logins led to it."),
    own(
        "from",
        "address:port or network",
        "Who dialled, or who may dial; of a ban, who is banned.",
    ),
    own(
        "gateway",
        "address:port",
        "The gateway's own address towards the upstream.",
    ),
    own(
        "in_kernel",
        "true or false",
        "Whether the kernel drops the packets of whoever is banned.",
    ),
    own(
        "in_use",
        "number",
        "Ports of the window that are taken for this peer.",
    ),
    own(
        "leads_to",
        "address:port",
        "Where the other leg leads, when it is known.",
    ),
    own(
        "limit",
        "text",
        "The bound that was full: its key in the config.",
    ),
    own("listener", "text", "The listener's name in the config."),
    own("lost", "number", "How many records were lost."),
    own("opened", "time", "When the pinhole opened."),
    own(
        "packets_down",
        "number",
        "Packets that the kernel carried from the upstream to the client; absent where it could not be asked.",
    ),
    own(
        "packets_up",
        "number",
        "Packets that the kernel carried from the client to the upstream; absent where it could not be asked.",
    ),
    own("path", "text", "The command's argument."),
    own("peer", "address:port", "Who used the pinhole."),
    own(
        "pinhole",
        "text",
        "The pinhole's name, `session.n`: unique over restarts.",
    ),
    own("pinholes", "number", "Pinholes that were opened."),
    own("protocol", "text", "What the client seemed to speak."),
    own("reason", "word", "Why it ended; of a ban, why it was made."),
    own(
        "refused",
        "true or false",
        "Whether the announcement was refused; else only its port was used.",
    ),
    own("reply", "text", "The server's line."),
    own(
        "resumed",
        "true or false",
        "Whether an earlier TLS session was resumed; of a client's data connection: that of its own control connection.",
    ),
    own("seconds", "seconds", "How long it lasted."),
    own("sessions", "number", "Sessions that still run."),
    own(
        "side",
        "word",
        "Whose peer it is about: `client` or `upstream`.",
    ),
    own("sni", "text", "The host name that was asked for in TLS."),
    own(
        "target",
        "address:port",
        "The address that the client dialled.",
    ),
    own("tls", "text", "The version of TLS: `1.2` or `1.3`."),
    own("to", "address:port", "Where the gateway dials or dialled."),
    own(
        "transfer",
        "number",
        "The data connection's number within the session: pinholes, legs and the transfer share it.",
    ),
    own("transfers", "number", "Transfers that ended well."),
    own("ttl", "seconds", "How long the pinhole waits for its peer."),
    own(
        "turned_away",
        "number",
        "Connections that the gateway itself turned away meanwhile; not those that the kernel dropped.",
    ),
    own(
        "unacknowledged",
        "number",
        "Bytes handed to the receiver's kernel that it had not acknowledged at the end; only where the gateway carried them.",
    ),
    own("until", "time", "When it ends by itself."),
    own(
        "answer",
        "word",
        "What whoever was asked has answered: `allow`, `allow_session`, `deny` or `deny_session`.",
    ),
    own(
        "login_as",
        "text",
        "The account that the answer grants to the user.",
    ),
    own(
        "start_in",
        "text",
        "The directory where the answer has the user begin.",
    ),
    own("upstream", "text", "The upstream's name in the config."),
    own(
        "used",
        "time",
        "When the awaited peer dialled; absent when nobody did.",
    ),
    own("check", "word", "Which check it was."),
    own("line", "number", "The line at which it begins there."),
    own(
        "moment",
        "word",
        "At which moment the rules were asked: `connection`, `command`, `data` or `transfer`.",
    ),
    own("rules", "text", "Digest of the rules in force."),
    own(
        "would",
        "word",
        "What the rule would have done: `allow`, `deny`, `close`, `ask`, `modify` (limit or hide), or `nothing`.",
    ),
    own("version", "text", "The program's version."),
    own("what", "word", "Which rule of the protocol was broken."),
    own("why", "word or text", "Why it was refused or failed."),
    own("window", "text", "The window: its first and its last port."),
    own(
        "wire_bytes_down",
        "number",
        "Bytes of these packets from the upstream to the client: data, headers and what was sent again.",
    ),
    own(
        "wire_bytes_up",
        "number",
        "Bytes of these packets from the client to the upstream: data, headers and what was sent again.",
    ),
    own(
        "rule",
        "text",
        "The rule: its file's name without path and ending, and its own.",
    ),
];
