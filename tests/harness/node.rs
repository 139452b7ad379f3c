//! A `stead node` in a process of its own, which can be killed.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::Method;
use serde_json::{Value, json};

use crate::{
    client::Client,
    network::{Network, command_in},
};

/// How long a node may take to be ready, or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a node listens, and in which network namespace it runs.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where entities are called.
    pub ingress: SocketAddr,
    /// Where the node is administered.
    pub admin: SocketAddr,
    /// The namespace; that of the test if there is none.
    pub namespace: Option<String>,
}

impl Place {
    /// Free ports on loopback.
    #[must_use]
    pub fn on_loopback() -> Self {
        Self { ingress: free_port(), admin: free_port(), namespace: None }
    }

    /// The usual ports on a machine of a network.
    #[must_use]
    pub fn on_machine(network: &Network, at: usize) -> Self {
        Self {
            ingress: network.socket(at, 8080),
            admin: network.socket(at, 8081),
            namespace: Some(network.namespace(at).to_owned()),
        }
    }

    /// A program to be run there.
    fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            Some(namespace) => command_in(namespace, program.as_os_str()),
            None => Command::new(program),
        }
    }
}

/// A node's process and where it listens. Killed when dropped.
pub struct Node {
    child: Child,
    /// Where entities are called.
    pub ingress: SocketAddr,
    /// Where the node is administered.
    pub admin: SocketAddr,
    /// The node's log.
    pub log: PathBuf,
    /// Who calls it in tests that have one caller.
    pub client: Client,
}

/// The `stead` binary: `STEAD_BINARY`, or the one built beside the tests.
///
/// # Panics
/// If there is none: `cargo build --release -p stead` makes it.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("STEAD_BINARY") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.ancestors().nth(2).expect("tests are built into target/PROFILE/deps");
    let path = profile.join("stead");
    assert!(path.exists(), "no {}: build it with `cargo build --release -p stead`", path.display());
    path
}

/// Ports that the system gives to nobody who connects: Linux takes those from
/// 32,768 on (`ip_local_port_range`).
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port that was free a moment ago, and that nobody takes but who asks for it
/// by number. No other call in this process gives the same one soon.
///
/// # Panics
/// If all are taken.
#[must_use]
pub fn free_port() -> SocketAddr {
    static NEXT: OnceLock<AtomicUsize> = OnceLock::new();
    // Test processes that run at the same time begin far from each other.
    let next = NEXT.get_or_init(|| AtomicUsize::new(std::process::id() as usize * 97));
    let free = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed))
        .take(PORTS.len())
        .map(|nth| SocketAddr::from(([127, 0, 0, 1], PORTS.start + (nth % PORTS.len()) as u16)))
        .find(|address| TcpListener::bind(address).is_ok());
    free.expect("loopback has a free port")
}

impl Node {
    /// Starts a node on a data directory, and waits until it is ready.
    ///
    /// # Panics
    /// If it isn't within a minute; the message has the node's log.
    pub async fn start(data: &Path, settings: &[(&str, &str)]) -> Self {
        let node = Self::spawn(data, settings);
        node.ready().await
    }

    /// Starts a node and does not wait for it.
    #[must_use]
    pub fn spawn(data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::spawn_at(&Place::on_loopback(), data, settings)
    }

    /// As [`Self::spawn`], at a place.
    ///
    /// # Panics
    /// If there is no binary, or it can't be started.
    #[must_use]
    pub fn spawn_at(place: &Place, data: &Path, settings: &[(&str, &str)]) -> Self {
        let (ingress, admin) = (place.ingress, place.admin);
        let log = data.with_extension("log");
        let out = File::options().create(true).append(true).open(&log).expect("a log file");
        let errors = out.try_clone().expect("a second handle");
        let child = place
            .command(&binary())
            .arg("node")
            .arg("--data")
            .arg(data)
            .arg("--ingress-listen")
            .arg(ingress.to_string())
            .arg("--admin-listen")
            .arg(admin.to_string())
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .expect("the binary starts");
        Self { child, ingress, admin, log, client: Client::default() }
    }

    /// Waits until the node is ready.
    ///
    /// # Panics
    /// If it exits, or isn't ready within a minute.
    pub async fn ready(mut self) -> Self {
        let client = Client::new(Duration::from_secs(5));
        let until = Instant::now() + PATIENCE;
        loop {
            if let Ok(answer) = client.get(self.admin, "/readyz").await
                && answer.status == 200
            {
                return self;
            }
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("the node stopped with {status} before it was ready\n{}", self.log_tail());
            }
            assert!(Instant::now() < until, "not ready in {PATIENCE:?}\n{}", self.log_tail());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills the process as a crash would: SIGKILL, no goodbye.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the node to stop, and waits until it has.
    ///
    /// # Panics
    /// If it hasn't within a minute.
    pub fn stop(&mut self) -> ExitStatus {
        let asked = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "SIGTERM could not be sent");
        self.wait()
    }

    /// Whether the process has ended.
    ///
    /// # Panics
    /// If the system can't tell.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Panics
    /// If it hasn't within a minute.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < until, "did not stop\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The node's log, whole.
    #[must_use]
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of the node's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Deploys a component under a manifest.
    ///
    /// # Panics
    /// If the node refuses it.
    pub async fn deploy(&self, component: &Path, manifest: &Value) -> Value {
        let client = Client::default();
        let bytes = std::fs::read(component).expect("the component was built");
        let uploaded = client
            .send(Method::POST, self.admin, "/components", &[], bytes)
            .await
            .expect("an answer");
        assert_eq!(uploaded.status, 201, "{}", uploaded.text());
        let name = manifest["type"].as_str().expect("a manifest names its type");
        let body = json!({"component": uploaded.json()["component"], "manifest": manifest});
        let deployed = client
            .send(
                Method::PUT,
                self.admin,
                &format!("/types/{name}"),
                &[("content-type", "application/json")],
                body.to_string(),
            )
            .await
            .expect("an answer");
        assert_eq!(deployed.status, 200, "{}", deployed.text());
        deployed.json()
    }

    /// How the node says that it fares.
    ///
    /// # Panics
    /// If it doesn't answer.
    pub async fn admin_status(&self) -> Value {
        self.client.get(self.admin, "/status").await.expect("an answer").json()
    }

    /// All events of an entity.
    ///
    /// # Panics
    /// If they can't be read.
    pub async fn events(&self, address: &str) -> Vec<Value> {
        let client = Client::default();
        let mut events: Vec<Value> = Vec::new();
        loop {
            let from = events.len() + 1;
            let path = format!("/entities/{address}/events?from={from}&limit=1000");
            let answer = client.get(self.admin, &path).await.expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let page = answer.json();
            let page = page["events"].as_array().expect("a list of events");
            if page.is_empty() {
                return events;
            }
            events.extend(page.iter().cloned());
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
