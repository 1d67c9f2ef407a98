//! The JSON Schema of rule files, for editors.

use serde_json::{Value, json};

use super::operation::Operation;
use super::request::{LegMode, Moment};
use super::window::Day;
use super::{Expected, Grammar};
use crate::yaml::choice::Choice;

/// Returns the JSON Schema of rule files, pretty-printed.
#[must_use]
pub fn schema() -> String {
    format!("{:#}", document())
}

fn words<C: Choice>() -> Vec<&'static str> {
    C::WORDS.iter().map(|(word, _)| *word).collect()
}

/// A map with these keys and no others.
fn map(description: &str, properties: Value) -> Value {
    json!({"description": description, "type": "object", "additionalProperties": false, "properties": properties})
}

fn list(description: &str, items: Value) -> Value {
    json!({"description": description, "type": "array", "minItems": 1, "items": items})
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": "string", "minLength": 1})
}

fn flag(description: &str) -> Value {
    json!({"description": description, "type": "boolean"})
}

fn only_true(description: &str) -> Value {
    json!({"description": description, "const": true})
}

fn chosen<C: Choice>(description: &str) -> Value {
    json!({"description": description, "type": "string", "enum": words::<C>()})
}

fn pattern(description: &str, pattern: &str) -> Value {
    json!({"description": description, "type": "string", "pattern": pattern})
}

fn size(description: &str) -> Value {
    pattern(description, "^[0-9]+(B|KiB|MiB|GiB|TiB)$")
}

fn speed(description: &str) -> Value {
    pattern(description, "^[0-9]+(B|KiB|MiB|GiB|TiB)/s$")
}

fn names(description: &str, items: Value) -> Value {
    json!({
        "description": description, "type": "object", "additionalProperties": false,
        "patternProperties": {"^[a-z][a-z0-9]*(-[a-z0-9]+)*$": items},
    })
}

const NAME: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";
const NETWORK: &str = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$";
const REPLY: &str = "^[45][0-9]{2} .+$";

fn document() -> Value {
    let mut whole = map(
        "Rules of a Portcullis gateway: asked in order, the first verdict decides.",
        json!({
            "version": {"description": "The version of this format: 1.", "const": 1},
            "lists": map("Names for several users or networks.", json!({
                "users": names("Lists of users by a name of your choice.", list("Users, or patterns for them.", text("A user: `bob`, `CORP\\bob`, `\"svc-*\"`."))),
                "networks": names("Lists of networks by a name of your choice.", list("Networks.", pattern("A network in CIDR form.", NETWORK))),
            })),
            "rules": list("The rules, in the order in which they are asked.", json!({"$ref": "#/$defs/rule"})),
            "examples": {
                "description": "Requests and the verdicts that they should get; `portcullis check` puts them.",
                "type": "array", "items": {"$ref": "#/$defs/example"},
            },
        }),
    );
    if let Some(whole) = whole.as_object_mut() {
        whole.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        whole.insert("title".to_owned(), json!("Portcullis rules"));
        whole.insert("required".to_owned(), json!(["version", "rules"]));
        whole.insert(
            "$defs".to_owned(),
            json!({"rule": rule(), "when": when(), "limit": limit(), "modes": modes(), "example": example()}),
        );
    }
    whole
}

fn rule() -> Value {
    let mut rule = map(
        "One rule.",
        json!({
            "name": pattern("A name of your choice; journal and `explain` repeat it.", NAME),
            "when": {"description": "What must hold; left away, the rule always matches.", "$ref": "#/$defs/when"},
            "then": then(),
        }),
    );
    if let Some(rule) = rule.as_object_mut() {
        rule.insert("required".to_owned(), json!(["name", "then"]));
    }
    rule
}

fn when() -> Value {
    let nested = json!({"$ref": "#/$defs/when"});
    let mut when = map(
        "All of these must hold.",
        json!({
            "client": list("Where the client is: networks, or names of `lists.networks`.", text("A network or a list.")),
            "listener": list("The listener that the client dialled.", text("A listener's name.")),
            "upstream": list("The server that the session goes to.", text("An upstream's name.")),
            "user": list("Who logs in: names, patterns, names of `lists.users`; `anonymous` is `ftp` too.", text("A user, a pattern or a list.")),
            "logged_in": flag("Whether the server has accepted the login."),
            "control_tls": flag("Whether the client's control connection is inside TLS."),
            "data_tls": flag("Whether the client's data connection is inside TLS."),
            "client_certificate": list("The name in the client's certificate.", text("A name or a pattern: `\"*\"` is any.")),
            "verb": list("The command's verb.", text("A verb: `RETR`.")),
            "operation": list("What the command does.", chosen::<Operation>("An operation.")),
            "site": list("The word behind SITE.", text("A word: `CHMOD`.")),
            "path": list("The path that the command names, whole and in one spelling.", pattern("A path or a pattern: `\"/home/{user}/**\"`.", r"^(/|\*\*)")),
            "extension": list("What stands behind the last dot of the path.", text("An extension: `exe`.")),
            "argument": list("Regular expressions over all that stands behind the verb.", text("A regular expression.")),
            "size": map("The file's size.", json!({"over": size("More than this."), "up_to": size("At most this.")})),
            "data_mode": {"description": "How the data connection was negotiated.", "$ref": "#/$defs/modes"},
            "time": map("When it is.", json!({
                "days": list("Days of the week.", chosen::<Day>("A day.")),
                "hours": list("Times of day.", pattern("From and to: `\"08:00-18:00\"`.", "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$")),
                "zone": text("The time zone: `Europe/Berlin`."),
            })),
            "moment": list("At which moments the rule is asked.", chosen::<Moment>("A moment.")),
            "not": {"description": "What must not hold.", "$ref": "#/$defs/when"},
            "any": list("Of these at least one must hold.", nested.clone()),
            "all": list("All of these must hold.", nested),
        }),
    );
    if let Some(when) = when.as_object_mut() {
        when.insert("minProperties".to_owned(), json!(1));
    }
    when
}

fn modes() -> Value {
    map(
        "The modes of both legs.",
        json!({"client": chosen::<LegMode>("The client's leg."), "upstream": chosen::<LegMode>("The upstream's leg.")}),
    )
}

fn limit() -> Value {
    map(
        "What transfers are limited to; of several rules the tightest counts.",
        json!({
            "upload": speed("Bytes per second from the client: `1MiB/s`."),
            "download": speed("Bytes per second to the client."),
            "transfer_bytes": size("Bytes of one transfer: `2GiB`."),
            "session_bytes": size("Bytes of all transfers of a session."),
        }),
    )
}

fn then() -> Value {
    let mut then = map(
        "What happens: at most one of allow, deny, close and ask.",
        json!({
            "allow": only_true("It may happen."),
            "deny": pattern("The client gets this reply, the server never sees the command.", REPLY),
            "close": pattern("The client gets this reply and the session ends.", REPLY),
            "ask": map("Somebody else decides.", json!({
                "unix": pattern("Who listens at this socket.", "^/"),
                "exec": list("This program, with its arguments.", text("A word.")),
                "timeout": pattern("How long the answer may be in coming, `5s` by default: 100ms to 60s.", "^[0-9]+(ms|s|m)$"),
                "password_files": list("The password files that an answer may name.", pattern("A path.", "^/")),
            })),
            "observe": only_true("Only record what the rule would have done."),
            "limit": {"description": "What transfers are limited to.", "$ref": "#/$defs/limit"},
            "hide": map("What the client does not see of the server.", json!({
                "banner": only_true("The text of its greeting."),
                "syst": only_true("Its answer to SYST."),
                "help": only_true("Its answer to HELP."),
                "stat": only_true("Its answer to STAT without a path."),
                "feat": list("Lines of FEAT, by their first word.", text("A word: `MLST`.")),
            })),
        }),
    );
    if let Some(then) = then.as_object_mut() {
        then.insert("minProperties".to_owned(), json!(1));
    }
    then
}

fn example() -> Value {
    let mut example = map(
        "A request and the verdict that it should get.",
        json!({
            "client": text("The client's address."),
            "listener": text("The listener's name."),
            "upstream": text("The upstream's name."),
            "user": text("Who has given this name."),
            "logged_in": flag("Whether the login was accepted; by default when there is a user."),
            "control_tls": flag("Whether the control connection is inside TLS."),
            "data_tls": flag("Whether data connections are."),
            "certificate": text("The name in the client's certificate."),
            "paths": chosen::<Grammar>("How the server writes paths; `unix` by default."),
            "cwd": text("The working directory."),
            "at": text("The time: `2026-01-05T09:00:00Z`."),
            "command": text("The command's line; without one a client arrives."),
            "size": size("The file's size."),
            "data_mode": {"description": "How data connections are negotiated; passive by default.", "$ref": "#/$defs/modes"},
            "expect": chosen::<Expected>("The verdict."),
            "rule": pattern("The rule that gives it; `default` for none.", NAME),
            "limit": {"description": "The limits that apply.", "$ref": "#/$defs/limit"},
        }),
    );
    if let Some(example) = example.as_object_mut() {
        example.insert("required".to_owned(), json!(["expect"]));
    }
    example
}
