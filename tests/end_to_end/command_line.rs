//! The command line against a real node: the way of the README, from `stead new`
//! to the first call, and what programs rely on.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use stead_test_support::root;
use stead_tests::node::{Node, binary};

use crate::support::{House, SMALL};

/// A command line for one node.
struct Line {
    node: Node,
    directory: PathBuf,
}

impl Line {
    fn run_in(&self, directory: &Path, arguments: &[&str]) -> Output {
        Command::new(binary())
            .args(arguments)
            .current_dir(directory)
            .env("STEAD_ADMIN", format!("http://{}", self.node.admin))
            .env("STEAD_INGRESS", format!("http://{}", self.node.ingress))
            .env("CARGO_TARGET_DIR", target())
            .output()
            .expect("the binary runs")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_in(&self.directory, arguments)
    }

    /// Runs it with `--json`, expects success, and reads what it printed.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_exit(&output, 0);
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(text.trim_end().lines().count(), 1, "one line: {text}");
        serde_json::from_str(&text).expect("one document")
    }

    /// Runs it with `--json` and expects it to fail; the error that it printed.
    #[track_caller]
    fn fails(&self, exit: i32, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert_exit(&output, exit);
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().last().unwrap_or_default();
        let document: Value = serde_json::from_str(last).expect("one document");
        assert_eq!(document["error"]["exit"], exit, "{document}");
        document["error"].clone()
    }
}

#[track_caller]
fn assert_exit(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Where new projects are built, so that a second run is quick.
fn target() -> PathBuf {
    root().join("target/guests-new")
}

fn cargo(project: &Path, arguments: &[&str]) {
    let output = Command::new("cargo")
        .args(arguments)
        .current_dir(project)
        .env("CARGO_TARGET_DIR", target())
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .output()
        .expect("cargo runs");
    assert_exit(&output, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_first_ten_minutes() {
    let house = House::new();
    let line = Line { node: house.node(&[SMALL]).await, directory: house.path().to_owned() };
    assert_exit(&line.run(&["new", "counter"]), 0);
    let project = house.path().join("counter");
    let again = line.run(&["new", "counter"]);
    assert_ne!(again.status.code(), Some(0), "nothing is ever overwritten");

    for (count, build) in [
        ["component", "build", "--release"].as_slice(),
        &["build", "--release", "--target", "wasm32-wasip2"],
    ]
    .into_iter()
    .enumerate()
    {
        cargo(&project, build);
        assert_exit(&line.run_in(&project, &["deploy", "."]), 0);
        let body = json!({"by": 2});
        let answer = line.node.post("/entities/counter/a/increment", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json(), json!((count + 1) * 2));
    }
    let versions = line.json(&["ls", "counter", "--versions"]);
    assert_eq!(versions["versions"].as_array().map(Vec::len), Some(2), "{versions}");

    // What the README says of looking into it.
    assert_eq!(line.json(&["call", "counter/a", "increment", "{\"by\": 5}"])["reply"], 9);
    assert_eq!(line.json(&["query", "counter/a", "value"])["reply"], 9);
    assert_eq!(line.json(&["ls"])["types"][0]["manifest"]["type"], "counter");
    for listing in [
        &["ls"][..],
        &["call", "counter/a", "increment", "{\"by\": 5}"],
        &["query", "counter/a", "value"],
        &["events", "counter/a"],
        &["snapshot", "counter/a", "--take"],
        &["status"],
        &["entities", "counter"],
        &["inspect", "counter/a"],
    ] {
        let output = line.run(listing);
        assert_exit(&output, 0);
        assert!(!output.stdout.is_empty(), "{listing:?} prints nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_json_and_exit_codes() {
    let house = House::new();
    let line = Line { node: house.node(&[SMALL]).await, directory: house.path().to_owned() };
    let component = stead_test_support::guest("ledger").display().to_string();
    let deploy = ["deploy", &component, "--type", "ledger"];
    let deployed = line.json(&deploy);
    assert_eq!(deployed["version"], 1);
    assert_eq!(line.json(&deploy)["unchanged"], true);

    let call = line.json(&["call", "ledger/a", "record", "{\"serial\": \"x\"}", "--key", "k"]);
    assert_eq!(call["reply"], json!({"count": 1, "last": "x"}));
    assert_eq!((call["sequence"].clone(), call["replayed"].clone()), (json!(1), json!(false)));
    let again = line.json(&["call", "ledger/a", "record", "{\"serial\": \"x\"}", "--key", "k"]);
    assert_eq!(
        (again["reply"].clone(), again["replayed"].clone()),
        (call["reply"].clone(), json!(true))
    );
    let many = "{\"serial\": \"y\", \"times\": 300}";
    line.json(&["call", "ledger/a", "record-many", many]);
    let events = line.json(&["events", "ledger/a", "--limit", "250"]);
    assert_eq!(events["events"].as_array().map(Vec::len), Some(250));
    assert_eq!(events["last-sequence"], 301);
    assert_eq!(line.json(&["entities", "ledger"]), json!({"entities": ["a"], "next": null}));
    assert_eq!(line.json(&["snapshot", "ledger/a", "--take"])["sequence"], 301);
    assert_eq!(line.json(&["snapshot", "ledger/a"])["state"]["count"], 301);
    assert_eq!(line.json(&["inspect", "ledger/a"])["last-sequence"], 301);
    assert_eq!(line.json(&["status"])["ready"], true);
    assert_eq!(line.json(&["ls", "ledger"])["component"], deployed["component"]);

    let rejected = line.fails(3, &["call", "ledger/a", "record-new", "{\"serial\": \"y\"}"]);
    assert_eq!(rejected["problem"]["code"], "repeated", "{rejected}");
    line.fails(5, &["call", "nothing/a", "record", "{}"]);
    line.fails(5, &["call", "ledger/a", "nothing", "{}"]);
    line.fails(5, &["snapshot", "ledger/never"]);
    line.fails(2, &["call", "ledger/a", "record", "{oops"]);
    line.fails(5, &["rollback", "ledger", "--to", "99"]);
    let garbage = house.path().join("garbage.wasm");
    std::fs::write(&garbage, b"no component").expect("written");
    let refused = line.run(&["deploy", &garbage.display().to_string(), "--type", "x"]);
    assert!(![Some(0), None].contains(&refused.status.code()));

    let bench = line.json(&[
        "bench",
        "ledger",
        "--command",
        "record",
        "--body",
        "{\"serial\": \"z\"}",
        "--clients",
        "4",
        "--duration",
        "1s",
    ]);
    assert!(bench["bench"].is_object(), "{bench}");

    assert_eq!(line.json(&["undeploy", "ledger"]), json!({"undeployed": "ledger"}));
    line.fails(5, &["undeploy", "ledger"]);
    let Line { mut node, directory } = line;
    assert!(node.stop().success());
    Line { node, directory }.fails(4, &["status"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_file_environment_and_flags() {
    let house = House::new();
    std::fs::write(
        house.path().join("stead.toml"),
        "[node]\npartitions = 16\n[requests]\nbody-size-max = \"2MiB\"\ndeadline-max = \"3s\"\n",
    )
    .expect("written");
    let run = |arguments: &[&str]| {
        Command::new(binary())
            .args(arguments)
            .current_dir(house.path())
            .env("STEAD_REQUESTS_BODY_SIZE_MAX", "3MiB")
            .env("STEAD_REQUESTS_DEADLINE_MAX", "4s")
            .output()
            .expect("the binary runs")
    };
    let output = run(&["config", "--json", "--set", "requests.deadline-max=5s"]);
    assert_exit(&output, 0);
    let config: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let setting = |name: &str| {
        let settings = config["settings"].as_array().expect("settings");
        settings.iter().find(|setting| setting["name"] == name).expect("it is there").clone()
    };
    assert_eq!(setting("node.partitions")["value"], 16);
    assert_eq!(setting("requests.body-size-max")["value"], 3 << 20);
    assert_eq!(setting("requests.deadline-max")["value"], 5_000);
    assert_eq!(setting("ingress.listen")["value"], "127.0.0.1:8080");
    let wrong = run(&["config", "--set", "requests.deadline-mx=5s"]);
    assert_exit(&wrong, 2);
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("deadline-max"),
        "it names the nearest"
    );

    // A node heeds them: the file's partitions are those that it has.
    let example = run(&["config", "--example"]);
    assert_exit(&example, 0);
    let example = String::from_utf8_lossy(&example.stdout).into_owned();
    assert!(example.contains("# partitions = 64"), "{example}");
}
