//! What the program says of itself: help, configuration, completions, errors.

use serde_json::json;

use crate::fake::{Ran, stead};

fn run(arguments: &[&str]) -> Ran {
    Ran::of(stead(arguments).output().expect("it runs"))
}

#[test]
fn every_verb_has_help_and_the_exit_codes_are_in_it() {
    let help = run(&["--help"]);
    assert_eq!(help.exit, 0);
    assert!(help.out.contains("Exit codes:"), "{}", help.out);
    for verb in [
        "node",
        "config",
        "dev",
        "new",
        "deploy",
        "undeploy",
        "rollback",
        "ls",
        "entities",
        "call",
        "query",
        "events",
        "snapshot",
        "inspect",
        "status",
        "bench",
        "completions",
    ] {
        assert!(help.out.contains(&format!("\n  {verb} ")), "{verb} is not listed");
        assert_eq!(run(&[verb, "--help"]).exit, 0, "{verb}");
    }
}

#[test]
fn the_version_is_told() {
    assert_eq!(run(&["--version"]).out, format!("stead {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    for arguments in
        [&["frobnicate"][..], &["call"], &["call", "cart", "x"], &["ls", "Not A Type"], &[]]
    {
        assert_eq!(run(arguments).exit, 2, "{arguments:?}");
    }
}

#[test]
fn the_configuration_is_shown_with_where_it_came_from() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("stead.toml"), "[node]\ndata = \"d\"\n").expect("written");
    let output = stead(&[
        "config",
        "--changed",
        "--json",
        "--log-format",
        "json",
        "--set",
        "node.partitions=8",
    ])
    .current_dir(directory.path())
    .env("STEAD_REQUESTS_DEADLINE_MAX", "2s")
    .output();
    let shown = Ran::of(output.expect("it runs")).json();
    assert_eq!(shown["file"], json!("stead.toml"));
    let found: Vec<_> = shown["settings"]
        .as_array()
        .expect("settings")
        .iter()
        .map(|setting| {
            json!([setting["name"], setting["value"], setting["unit"], setting["source"]])
        })
        .collect();
    let expected = json!([
        ["node.data", "d", "", {"kind": "file", "path": "stead.toml", "line": 2}],
        ["node.partitions", 8, "", {"kind": "flag", "flag": "--set node.partitions=8"}],
        ["requests.deadline-max", 2000, "milliseconds", {"kind": "environment", "name": "STEAD_REQUESTS_DEADLINE_MAX"}],
        ["log.format", "json", "", {"kind": "flag", "flag": "--log-format"}],
    ]);
    assert_eq!(json!(found), expected);
}

#[test]
fn a_slip_in_the_configuration_is_exit_2_for_every_verb() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("stead.toml"), "\n[ingress]\nlistn = 1\n")
        .expect("written");
    for arguments in [&["node"][..], &["config"], &["ls"], &["dev"]] {
        let output = stead(arguments).current_dir(directory.path()).output();
        let ran = Ran::of(output.expect("it runs"));
        assert_eq!(ran.exit, 2, "{arguments:?}: {}", ran.error);
        assert!(ran.error.contains("stead.toml:3: there is no setting \"listn\""), "{}", ran.error);
        assert!(ran.error.contains("the nearest is listen"), "{}", ran.error);
    }
}

#[test]
fn the_example_configuration_is_a_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let example = run(&["config", "--example"]);
    std::fs::write(directory.path().join("stead.toml"), &example.out).expect("written");
    let output = stead(&["config", "--changed", "--json"]).current_dir(directory.path()).output();
    assert_eq!(Ran::of(output.expect("it runs")).json()["settings"], json!([]));
}

#[test]
fn completions_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.exit, 0);
        assert!(ran.out.contains("undeploy"), "{shell}");
    }
}

#[test]
fn a_taken_address_is_named_with_its_setting() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let taken = listener.local_addr().expect("an address").to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let ran = run(&["node", "--ingress-listen", &taken, "--data", data.to_str().expect("text")]);
    assert_eq!(ran.exit, 1);
    assert!(ran.error.contains(&format!("ingress.listen: {taken}")), "{}", ran.error);
    assert!(!data.exists(), "nothing was opened");
}

#[test]
fn both_baselines_are_measured_without_a_node() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("text");
    let ran = run(&[
        "bench",
        "--baseline-axum",
        "--baseline-fsync",
        path,
        "--duration",
        "200ms",
        "--warmup",
        "50ms",
        "--clients",
        "4",
        "--json",
    ]);
    let shown = ran.json();
    assert!(
        shown["baseline-axum"]["per-second"].as_f64().is_some_and(|rate| rate > 100.0),
        "{shown}"
    );
    assert!(
        shown["baseline-fsync"]["overwrite"]["latency"]["p50-us"].as_u64().is_some_and(|us| us > 0),
        "{shown}"
    );
}
