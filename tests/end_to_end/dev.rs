//! `stead dev`: a node that follows a project's sources.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stead_test_support::root;
use stead_tests::{
    client::Client,
    node::{binary, free_port},
};

use crate::support::House;

/// A build of the project may have to wait for another test's.
const PATIENCE: Duration = Duration::from_secs(300);

/// The process; killed when dropped.
struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(project: &Path, temporary: &Path, ingress: SocketAddr, admin: SocketAddr) -> Dev {
    let log = File::create(temporary.join("dev.log")).expect("a log file");
    let errors = log.try_clone().expect("a second handle");
    let child = Command::new(binary())
        .args(["dev", "--build", "cargo build --release --target wasm32-wasip2"])
        .args(["--ingress-listen", &ingress.to_string(), "--admin-listen", &admin.to_string()])
        .current_dir(project)
        .env("TMPDIR", temporary)
        .env("CARGO_TARGET_DIR", root().join("target/guests-new"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn();
    Dev(child.expect("the binary starts"))
}

/// Asks until what is answered is as wanted.
async fn until(client: &Client, server: SocketAddr, path: &str, wanted: impl Fn(&Value) -> bool) {
    let end = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < end {
        if let Ok(answer) = client.get(server, path).await {
            if answer.status == 200 && wanted(&answer.json()) {
                return;
            }
            last = Some(answer.text());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} never answered as it should; the last answer: {last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_built_and_deployed_and_a_mistake_changes_nothing() {
    let house = House::new();
    let made = Command::new(binary()).args(["new", "watched"]).current_dir(house.path()).status();
    assert!(made.is_ok_and(|status| status.success()));
    let project = house.path().join("watched");
    let temporary = house.path().join("tmp");
    std::fs::create_dir(&temporary).expect("a directory");
    let (ingress, admin) = (free_port(), free_port());
    let mut dev = start(&project, &temporary, ingress, admin);
    let client = Client::default();
    let log = || std::fs::read_to_string(temporary.join("dev.log")).unwrap_or_default();

    until(&client, admin, "/types/watched", |found| found["version"] == 1).await;
    let path = "/entities/watched/a/increment";
    let answer = client.post(ingress, path, &[], &json!({"by": 2})).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!(2)), "{}", log());

    let source = project.join("src/lib.rs");
    let sound = std::fs::read_to_string(&source).expect("the source");
    std::fs::write(&source, format!("{sound}\nthis is no Rust\n")).expect("written");
    let end = Instant::now() + PATIENCE;
    while !log().contains("the version before goes on") {
        assert!(Instant::now() < end, "{}", log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = client.post(ingress, path, &[], &json!({"by": 3})).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!(5)), "{}", log());

    let changed = sound.replace("counted up and down", "counted up, down and up again");
    assert_ne!(changed, sound, "the template says what it is");
    std::fs::write(&source, changed).expect("written");
    until(&client, admin, "/types/watched", |found| found["version"] == 2).await;
    until(&client, ingress, "/entities/watched/a/value", |value| *value == 5).await;

    let asked = Command::new("kill").arg("-TERM").arg(dev.0.id().to_string()).status();
    assert!(asked.is_ok_and(|status| status.success()));
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = dev.0.try_wait().expect("it can be waited for") {
            break status;
        }
        assert!(Instant::now() < end, "it does not stop\n{}", log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}\n{}", log());
    let left = std::fs::read_dir(&temporary).expect("a directory");
    let left: Vec<_> =
        left.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    assert_eq!(left, ["dev.log"], "its data is gone");
}
