//! `stead up` and `stead chaos`: a cluster of real processes, run and broken from the
//! command line alone.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use stead_tests::{
    client::Client,
    node::{Node, binary},
};

/// A `stead up` that runs. It and its nodes end with the test.
struct Up {
    child: Child,
    directory: PathBuf,
}

impl Up {
    async fn start(directory: &Path) -> Self {
        let log = directory.with_extension("log");
        let log = std::fs::File::options().create(true).append(true).open(log).expect("a file");
        let child = Command::new(binary())
            .args(["up", "--json", "--partitions", "8", "--set", "cluster.grace=3s"])
            .arg("--data")
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle"))
            .stderr(log)
            .spawn()
            .expect("it starts");
        let mut up = Self { child, directory: directory.to_owned() };
        // What another wrote down before it was killed says nothing of this one.
        let pid = u64::from(up.child.id());
        up.until("it has settled", |up| {
            let state = up.state();
            state["up"]["pid"] == pid && state["settled"] == true
        })
        .await;
        up
    }

    fn state(&self) -> Value {
        let state = std::fs::read(self.directory.join("cluster.json")).unwrap_or_default();
        serde_json::from_slice(&state).unwrap_or_default()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.with_extension("log")).unwrap_or_default()
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..1_800 {
            if holds(self) {
                return;
            }
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "it has ended: {ended:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not within three minutes: {what}\n{}\n{}", self.state(), self.log());
    }

    /// Runs a verb, which finds the cluster by itself.
    async fn stead(&self, arguments: &[&str]) -> String {
        let said = self.try_stead(arguments).await;
        said.unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", self.log()))
    }

    async fn try_stead(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(binary());
        command.args(arguments).env("STEAD_UP_DIR", &self.directory).stdin(Stdio::null());
        command.env_remove("STEAD_ADMIN").env_remove("STEAD_INGRESS");
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.expect("it isn't broken off").expect("it runs");
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn pid(&self, node: usize) -> u64 {
        self.state()["nodes"][node]["process"]["pid"].as_u64().expect("a process")
    }

    /// Sends a signal to `stead up` itself.
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_there(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn all_end(pids: &[u64]) {
    for _ in 0..600 {
        if !pids.iter().any(|pid| is_there(*pid)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("some of {pids:?} have not ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_on_this_machine_is_run_broken_healed_and_taken_up_again() {
    let scratch = tempfile::tempdir().expect("a directory");
    let directory = scratch.path().join("up");
    let mut up = Up::start(&directory).await;
    let component = stead_test_support::guest("ledger");
    let component = component.to_str().expect("text");
    up.stead(&["deploy", component, "--type", "ledger"]).await;
    let record = |serial: &str| {
        let body = json!({"serial": serial}).to_string();
        ["call".to_owned(), "ledger/1".into(), "record".into(), body, "--retry".into(), "20".into()]
    };
    let call = async |up: &Up, serial: &str| {
        let arguments = record(serial);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        up.stead(&arguments).await;
    };
    call(&up, "one").await;

    // Another can't run there at the same time.
    let second = up.try_stead(&["up", "--data", directory.to_str().expect("text")]).await;
    assert!(second.is_err_and(|error| error.contains("another `stead up` runs")));

    // The node that runs it is killed: others go on, and `stead up` says so.
    up.stead(&["chaos", "kill", "leader-of", "ledger/1"]).await;
    up.until("it is noticed", |up| up.log().contains("was killed by SIGKILL")).await;
    let dead: Vec<usize> = (0..3).filter(|node| !is_there(up.pid(*node))).collect();
    assert_eq!(dead.len(), 1);
    let name = (dead[0] + 1).to_string();
    call(&up, "two").await;
    up.until("others lead", |up| up.log().contains("every partition has a leader")).await;
    let again = up.try_stead(&["chaos", "kill", &name]).await;
    assert!(again.is_err_and(|error| error.contains("doesn't run")));
    up.stead(&["chaos", "restart", &name]).await;
    assert!(is_there(up.pid(dead[0])));

    // Paused, it isn't missed by callers; it goes on.
    up.stead(&["chaos", "pause", &name]).await;
    call(&up, "three").await;
    up.stead(&["chaos", "resume", &name]).await;

    // A node that loses its disk is another when it comes back.
    let before = up.state()["nodes"][dead[0]]["id"].clone();
    up.stead(&["chaos", "lose-disk", &name]).await;
    call(&up, "four").await;
    up.stead(&["chaos", "restart", &name]).await;
    up.until("it has another id", |up| {
        let now = &up.state()["nodes"][dead[0]]["id"];
        now.is_string() && *now != before
    })
    .await;
    let events: Value =
        serde_json::from_str(&up.stead(&["events", "ledger/1", "--json"]).await).expect("JSON");
    assert_eq!(events["last-sequence"], 4, "{events}");

    // If it is killed its nodes end with it; started again, it is the same cluster.
    let pids = [up.pid(0), up.pid(1), up.pid(2)];
    up.signal("-KILL");
    all_end(&pids).await;
    let cluster = |status: &str| {
        let status: Value = serde_json::from_str(status).expect("JSON");
        status["cluster"].as_str().expect("a cluster").to_owned()
    };
    drop(up);
    let mut up = Up::start(&directory).await;
    let name = cluster(&up.stead(&["cluster", "status", "--json"]).await);
    call(&up, "five").await;
    let events = up.stead(&["events", "ledger/1", "--json"]).await;
    let events: Value = serde_json::from_str(&events).expect("JSON");
    assert_eq!(events["last-sequence"], 5, "{events}");
    assert_eq!(name, cluster(&up.stead(&["cluster", "status", "--json"]).await));

    // Cut off from the others, a node takes nothing; put together, all is as before.
    cut_off(&up).await;

    // Asked to stop, it stops its nodes first.
    let pids = [up.pid(0), up.pid(1), up.pid(2)];
    up.signal("-TERM");
    let status = up.child.wait().expect("it ends");
    assert!(status.success(), "{}", up.log());
    assert!(!pids.iter().any(|pid| is_there(*pid)), "{}", up.log());
    assert!(up.log().matches("has stopped").count() >= 3, "{}", up.log());
}

async fn cut_off(up: &Up) {
    let state = up.state();
    let address = |node: usize, what: &str| {
        state["nodes"][node][what].as_str().expect("text").parse().expect("an address")
    };
    let client = Client::default();
    up.stead(&["chaos", "partition", "3"]).await;
    let missed = async |node: usize| {
        let status = client.get(address(node, "admin"), "/cluster").await.expect("an answer");
        let status = status.json();
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().filter(|node| node["health"] == "gone").count()
    };
    for _ in 0..600 {
        if missed(0).await == 1 && missed(2).await == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((missed(0).await, missed(2).await), (1, 2), "each side misses the other");
    let path = "/entities/ledger/1/record";
    let said = json!({"serial": "majority"});
    let answer = client.post(address(0, "ingress"), path, &[], &said).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = json!({"serial": "minority"});
    let answer = client.post(address(2, "ingress"), path, &[], &said).await.expect("an answer");
    assert!([503, 504].contains(&answer.status.as_u16()), "{}", answer.text());
    up.stead(&["chaos", "heal"]).await;
    for _ in 0..600 {
        if missed(0).await == 0 && missed(2).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let path = "/entities/ledger/1/totals";
    for node in 0..3 {
        for attempt in 0.. {
            let answer = client.get(address(node, "ingress"), path).await.expect("an answer");
            if answer.status == 200 {
                break;
            }
            assert!(attempt < 20, "node {node}: {}", answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_for_trials_is_not_cut_off() {
    let scratch = tempfile::tempdir().expect("a directory");
    let settings = [
        ("STEAD_NODE_PARTITIONS", "2"),
        ("STEAD_CLUSTER_ENABLED", "true"),
        ("STEAD_CLUSTER_LISTEN", "127.0.0.1:0"),
    ];
    let node = Node::start(&scratch.path().join("node"), &settings).await;
    let others = json!({"nodes": ["ab".repeat(16)]});
    let asked = node.admin_send(http::Method::PUT, "/chaos/cut-off", &others).await;
    assert_eq!(asked.status, 409, "{}", asked.text());
    assert!(asked.text().contains("chaos.enabled"), "{}", asked.text());
}
