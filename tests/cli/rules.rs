//! `check` and `explain` with rule files.

use std::path::Path;

use crate::program::{Ran, portcullis, portcullis_in};

const HOUSE: &str = "version: 1
rules:
  - name: eve
    when: {user: [eve]}
    then: {deny: \"530 Not you.\"}
  - name: slow
    when: {client: [203.0.113.0/24]}
    then: {limit: {download: 1MiB/s}}
  - name: jail
    when: {operation: [read, write, list, chdir], not: {path: [\"/home/{user}/**\"]}}
    then: {deny: \"550 Outside your directory.\"}
examples:
  - {client: 203.0.113.7, user: bob, cwd: /home/bob, command: \"STOR ../x\", expect: deny, rule: jail}
";

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).expect("written");
}

fn configured(directory: &Path, rules: &str) {
    let text = format!(
        "version: 1\nlisteners: {{main: {{listen: [\"*:21\"]}}}}\nupstreams: {{legacy: {{addresses: [\"10.0.0.5\"], paths: unix}}}}\nrules: {{files: {rules}}}\n"
    );
    write(directory, "portcullis.yaml", &text);
}

fn json(ran: &Ran) -> serde_json::Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

#[test]
fn a_rule_file_is_checked_with_its_examples() {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path(), "house.yaml", HOUSE);
    let ran = portcullis_in(directory.path(), &["check", "house.yaml"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "house.yaml: good: 3 rules, 1 example\n")
    );

    write(
        directory.path(),
        "house.yaml",
        &HOUSE.replace("STOR ../x", "STOR x"),
    );
    let ran = portcullis_in(directory.path(), &["check", "house.yaml"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains(
            "house.yaml:13: example failed: `deny` was expected and `allow` came from `default`"
        ),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.ends_with("house.yaml: 1 of 1 examples failed\n"),
        "{}",
        ran.stdout
    );
    let ran = portcullis_in(
        directory.path(),
        &["check", "--format", "json", "house.yaml"],
    );
    let report = json(&ran);
    assert_eq!(
        (ran.code, &report["files"][0]["failed_examples"][0]["line"]),
        (1, &serde_json::json!(13))
    );

    write(
        directory.path(),
        "house.yaml",
        &HOUSE.replace("operation: [read", "operation: [raed"),
    );
    let ran = portcullis_in(directory.path(), &["check", "house.yaml"]);
    assert_eq!(ran.code, 78);
    assert!(
        ran.stdout.contains("did you mean `read`?"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_directory_may_hold_rules_and_configurations() {
    let ran = portcullis(&["check", "rules"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert_eq!(ran.stdout.matches(": good: ").count(), 10, "{}", ran.stdout);
}

#[test]
fn a_configuration_is_checked_with_the_rules_that_it_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = directory.path().join("house.yaml");
    configured(
        directory.path(),
        &format!("[{}, everything-but-dangerous]", house.display()),
    );
    let check = || portcullis_in(directory.path(), &["check", "portcullis.yaml"]);
    let missing = check();
    assert_eq!(missing.code, 78);
    assert!(
        missing.stdout.contains("the rule file can't be read"),
        "{}",
        missing.stdout
    );

    write(directory.path(), "house.yaml", HOUSE);
    assert_eq!(check().code, 0, "{}", check().stdout);

    write(
        directory.path(),
        "house.yaml",
        &HOUSE.replace("when: {user: [eve]}", "when: {listener: [mian]}"),
    );
    let ran = check();
    assert_eq!(ran.code, 78);
    assert!(
        ran.stdout.contains("there is no listener `mian`")
            && ran.stdout.contains("did you mean `main`?"),
        "{}",
        ran.stdout
    );
    // `run` says the same and opens nothing.
    let ran = portcullis_in(directory.path(), &["run", "--config", "portcullis.yaml"]);
    assert_eq!(ran.code, 78, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("there is no listener `mian`"),
        "{}",
        ran.stderr
    );

    write(
        directory.path(),
        "house.yaml",
        &HOUSE.replace("STOR ../x", "STOR x"),
    );
    assert_eq!(check().code, 1, "{}", check().stdout);
}

#[test]
fn explain_says_who_would_be_asked_and_check_that_they_can_not_be() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let text = "version: 1\nrules:\n  - {name: decide, when: {operation: [delete]}, then: {ask: {exec: [/no/such/program, --ftp], timeout: 2s}}}\n";
    write(at, "house.yaml", text);
    let explain = |command: &str| {
        let words = [
            "explain",
            "--rules",
            "house.yaml",
            "--client",
            "203.0.113.7",
        ];
        portcullis_in(at, &[&words[..], &[command]].concat())
    };
    let asked = explain("DELE x");
    assert_eq!(asked.code, 1, "{}", asked.stderr);
    let first = asked.stdout.lines().next();
    assert_eq!(
        first,
        Some("at the command: would ask /no/such/program --ftp, for at most 2s")
    );
    assert_eq!(explain("NOOP").code, 0);
    let checked = portcullis_in(at, &["check", "house.yaml"]);
    assert_eq!(checked.code, 78);
    let told = "house.yaml:3:1: error: the program /no/such/program can't be found";
    assert!(checked.stdout.contains(told), "{}", checked.stdout);
}

#[test]
fn explain_says_which_rule_and_why_not_the_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = directory.path().join("house.yaml");
    write(directory.path(), "house.yaml", HOUSE);
    configured(
        directory.path(),
        &format!("[{}, everything-but-dangerous]", house.display()),
    );
    let at = directory.path();
    let base = [
        "explain",
        "--config",
        "portcullis.yaml",
        "--client",
        "203.0.113.7",
        "--user",
        "bob",
        "--cwd",
        "/home/bob",
    ];
    let explain = |rest: &[&str]| portcullis_in(at, &[&base[..], rest].concat());
    let clean = |ran: &Ran| {
        ran.stdout
            .replace(&house.display().to_string(), "house.yaml")
    };

    let denied = explain(&["STOR ../x"]);
    assert_eq!((denied.code, denied.stderr.as_str()), (1, ""));
    insta::assert_snapshot!("explain_denied", clean(&denied));
    let allowed = explain(&["RETR x"]);
    assert_eq!(allowed.code, 0);
    insta::assert_snapshot!("explain_allowed", clean(&allowed));
    let arriving = portcullis_in(
        at,
        &[
            "explain",
            "--config",
            "portcullis.yaml",
            "--client",
            "203.0.113.7",
        ],
    );
    assert_eq!(arriving.code, 0, "{}", arriving.stdout);
    let report = json(&explain(&["--format", "json", "STOR ../x"]));
    assert_eq!(report[0]["verdict"], "deny");
    assert_eq!(
        (report[0]["rule"].as_str(), report[0]["line"].as_u64()),
        (Some("house/jail"), Some(9))
    );
    assert_eq!(report[0]["path"], "/home/x");
    assert_eq!(report[0]["rules"].as_array().map(Vec::len), Some(3));

    let alone = portcullis_in(
        at,
        &[
            "explain",
            "--rules",
            "house.yaml",
            "--client",
            "10.0.0.1",
            "--user",
            "eve",
            "RETR x",
        ],
    );
    assert_eq!(alone.code, 1);
    assert!(
        alone.stdout.contains("denied, 530 Not you."),
        "{}",
        alone.stdout
    );
}

#[test]
fn explain_says_which_transfers_the_kernel_may_not_carry() {
    const LIMITED: &str = "version: 1
rules:
  - name: slow-guests
    when: {user: [anonymous]}
    then: {limit: {download: 1MiB/s}}
";
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let limited = at.join("limited.yaml");
    write(at, "limited.yaml", LIMITED);
    let text = |firewall: &str, user: &str| {
        let config = format!(
            "version: 1\nlisteners: {{main: {{listen: [\"*:21\"]}}}}\nupstreams: {{old: {{addresses: [\"10.0.0.5:21\"]}}}}\n\
             pinholes: {{firewall: {firewall}}}\nrules: {{files: [{}, everything-but-dangerous]}}\n",
            limited.display()
        );
        write(at, "portcullis.yaml", &config);
        let base = [
            "explain",
            "--config",
            "portcullis.yaml",
            "--client",
            "203.0.113.7",
        ];
        let ran = portcullis_in(at, &[&base[..], &["--user", user, "RETR x"]].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        ran.stdout
    };
    let relayed = "relayed by this process and not forwarded by the kernel";
    assert!(text("nftables", "anonymous").contains(relayed));
    assert!(!text("nftables", "bob").contains(relayed));
    // Without the kernel's firewall everything is relayed, and nothing has to be said.
    assert!(!text("none", "anonymous").contains(relayed));
}

#[test]
fn explain_says_what_is_wrong_with_its_flags() {
    for (args, says) in [
        (&["explain", "RETR x"][..], "--client"),
        (
            &["explain", "--client", "here", "RETR x"],
            "invalid value 'here'",
        ),
        (
            &[
                "explain",
                "--rules",
                "rules/iis.yaml",
                "--client",
                "10.0.0.1",
                "--paths",
                "dos",
                "RETR x",
            ],
            "--paths dos",
        ),
        (
            &[
                "explain",
                "--rules",
                "rules/iis.yaml",
                "--client",
                "10.0.0.1",
                "--at",
                "noon",
                "RETR x",
            ],
            "--at noon",
        ),
        (
            &[
                "explain",
                "--rules",
                "rules/iis.yaml",
                "--client",
                "10.0.0.1",
                "--size",
                "5",
                "RETR x",
            ],
            "--size",
        ),
        (
            &["explain", "--rules", "no-such.yaml", "--client", "10.0.0.1"],
            "no-such.yaml: No such file",
        ),
    ] {
        let ran = portcullis(args);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn the_schema_of_rules_is_printed() {
    let ran = portcullis(&["schema", "rules"]);
    assert_eq!(
        (ran.code, ran.stdout),
        (0, format!("{}\n", portcullis::policy::schema()))
    );
}
