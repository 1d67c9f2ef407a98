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
fn explain_says_that_what_may_be_limited_is_relayed_where_the_kernel_forwards() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let house = at.join("house.yaml");
    write(at, "house.yaml", HOUSE);
    let rules = format!("[{}, everything-but-dangerous]", house.display());
    let told = |client: &str| {
        let ran = portcullis_in(
            at,
            &[
                "explain",
                "--config",
                "portcullis.yaml",
                "--client",
                client,
                "--user",
                "bob",
                "--cwd",
                "/home/bob",
                "RETR x",
            ],
        );
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        ran.stdout
            .contains("relayed by this process and not forwarded by the kernel")
    };
    for (firewall, limited) in [("none", false), ("nftables", true)] {
        configured(at, &rules);
        let file = at.join("portcullis.yaml");
        let text = std::fs::read_to_string(&file).expect("written");
        let text = format!("{text}pinholes: {{firewall: {firewall}}}\n");
        std::fs::write(&file, text).expect("written");
        // The rule `slow` is about the first of them alone.
        assert_eq!(told("203.0.113.7"), limited, "{firewall}");
        assert!(!told("10.0.0.1"), "{firewall}");
    }
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
