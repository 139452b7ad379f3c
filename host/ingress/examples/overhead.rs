//! What the ingress costs beside a bare axum echo.
//!
//! Behind neither is any work; the same closed-loop clients drive first one and then
//! the other, several times over, in one process. The ratio is what counts, not
//! the figures: they depend on the machine, and the clients take their share.
//!
//! ```text
//! cargo run --release -p stead-ingress --example overhead [CONNECTIONS] [SECONDS]
//! ```

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use stead_cluster::api::{
    CallError, CommandCall, CommandReply, ComponentInfo, DeployError, DeployedType, EntityStatus,
    EventPage, NodeStatus, QueryCall, Service, SnapshotView, VersionInfo,
};
use stead_ingress::{IngressOptions, listen, serve_ingress};
use stead_model::{
    Address, ComponentHash, Description, EntityId, EntityType, Manifest, Operation, RequestId,
    SequenceNumber, TimestampMs, TypeVersion,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{Builder, Runtime},
};

const BODY: &str = r#"{"sku": "espresso-machine", "quantity": 1, "note": "as a present"}"#;
const ROUNDS: usize = 5;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |default| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (connections, seconds) = (number(256), number(3));
    let servers = runtime();
    let clients = runtime();
    let (bare, ingress) = servers.block_on(async { (start_bare(), start_ingress()) });
    let echo = request("/echo");
    let command = request("/entities/cart/42/add-item");
    println!("{connections} connections, {seconds} s a round, {} bytes a body", BODY.len());
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let length = Duration::from_secs(seconds as u64);
        let bare = clients.block_on(drive(bare, &echo, connections, length));
        let ingress = clients.block_on(drive(ingress, &command, connections, length));
        let ratio = ingress.per_second / bare.per_second;
        println!(
            "round {round}: bare axum {:>7.0}/s ({:.1} µs CPU each), ingress {:>7.0}/s ({:.1} µs), ratio {ratio:.2}",
            bare.per_second, bare.cpu_us, ingress.per_second, ingress.cpu_us,
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios.get(ROUNDS / 2).copied().unwrap_or_default());
    clients.shutdown_background();
    servers.shutdown_background();
}

fn runtime() -> Runtime {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime")
}

fn start_bare() -> SocketAddr {
    let listener = listen(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = listener.local_addr().expect("an address");
    let router =
        axum::Router::new().route("/echo", axum::routing::post(async |body: bytes::Bytes| body));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn start_ingress() -> SocketAddr {
    let listener = listen(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = listener.local_addr().expect("an address");
    let house = House(Arc::new(vec![Arc::new(cart())]));
    tokio::spawn(serve_ingress(
        listener,
        std::future::ready(house),
        IngressOptions::default(),
        std::future::pending::<()>(),
    ));
    address
}

fn request(path: &str) -> Arc<str> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
    .into()
}

struct Measured {
    per_second: f64,
    cpu_us: f64,
}

async fn drive(
    address: SocketAddr,
    request: &Arc<str>,
    connections: usize,
    length: Duration,
) -> Measured {
    let stop = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let client =
                client(address, Arc::clone(request), Arc::clone(&answers), Arc::clone(&stop));
            tokio::spawn(client)
        })
        .collect();
    // The first moments are those of connecting and warming up.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (began, cpu, first) = (Instant::now(), cpu_time(), answers.load(Ordering::Relaxed));
    tokio::time::sleep(length).await;
    let count = (answers.load(Ordering::Relaxed) - first) as f64;
    let (took, cpu) = (began.elapsed(), cpu_time() - cpu);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no client fails").expect("no connection fails");
    }
    Measured { per_second: count / took.as_secs_f64(), cpu_us: cpu.as_secs_f64() * 1e6 / count }
}

async fn client(
    address: SocketAddr,
    request: Arc<str>,
    answers: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4 << 10];
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        loop {
            let read = stream.read(buffer.get_mut(filled..).unwrap_or_default()).await?;
            assert!(read > 0, "the server closed");
            filled += read;
            let answer = buffer.get(..filled).unwrap_or_default();
            // Both echo, so an answer is whole when it ends as the request did.
            if answer.ends_with(BODY.as_bytes()) {
                assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
                break;
            }
        }
        answers.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// The time that all threads of this process have run.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<u64> =
        after_name.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    let ticks: u64 = fields.get(11..13).unwrap_or_default().iter().sum();
    Duration::from_millis(ticks * 10)
}

fn cart() -> DeployedType {
    let operation = |name: &str| Operation {
        name: name.into(),
        summary: String::new(),
        request_type: "application/json".into(),
        request_schema: None,
        reply_type: "application/json".into(),
        reply_schema: None,
    };
    DeployedType {
        manifest: Manifest::new(EntityType::new("cart").expect("a type")),
        version: TypeVersion(1),
        component: ComponentHash([0; 32]),
        component_bytes: 0,
        deployed_at: TimestampMs(0),
        description: Description {
            commands: ["add-item", "checkout"].map(operation).into(),
            ..Description::default()
        },
    }
}

/// A house that answers commands with what they said: as soon as it can, but not
/// at once, as a real one waits for its disk, and waiting has its price.
#[derive(Clone)]
struct House(Arc<Vec<Arc<DeployedType>>>);

impl Service for House {
    async fn command(&self, call: CommandCall) -> Result<CommandReply, CallError> {
        tokio::task::yield_now().await;
        let request = RequestId::Minted(u128::MAX / 3);
        let (body, sequence) = (call.body.to_vec(), SequenceNumber(1_234_567));
        Ok(CommandReply { body, sequence, request, replayed: false })
    }

    fn types(&self) -> Arc<Vec<Arc<DeployedType>>> {
        Arc::clone(&self.0)
    }

    async fn query(&self, _: QueryCall) -> Result<Vec<u8>, CallError> {
        unimplemented!("only commands are measured")
    }

    fn versions(&self, _: &EntityType) -> Result<Vec<VersionInfo>, DeployError> {
        unimplemented!("only commands are measured")
    }

    async fn upload(&self, _: bytes::Bytes) -> Result<ComponentInfo, DeployError> {
        unimplemented!("only commands are measured")
    }

    async fn deploy(
        &self,
        _: ComponentHash,
        _: Manifest,
    ) -> Result<Arc<DeployedType>, DeployError> {
        unimplemented!("only commands are measured")
    }

    async fn rollback(
        &self,
        _: EntityType,
        _: TypeVersion,
    ) -> Result<Arc<DeployedType>, DeployError> {
        unimplemented!("only commands are measured")
    }

    async fn undeploy(&self, _: EntityType) -> Result<(), DeployError> {
        unimplemented!("only commands are measured")
    }

    async fn events(
        &self,
        _: Address,
        _: std::ops::RangeInclusive<u64>,
        _: usize,
    ) -> Result<EventPage, CallError> {
        unimplemented!("only commands are measured")
    }

    fn events_after(&self, _: Address, _: SequenceNumber) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    async fn snapshot(&self, _: Address) -> Result<Option<SnapshotView>, CallError> {
        unimplemented!("only commands are measured")
    }

    async fn take_snapshot(&self, _: Address) -> Result<SnapshotView, CallError> {
        unimplemented!("only commands are measured")
    }

    async fn inspect(&self, _: Address) -> Result<EntityStatus, CallError> {
        unimplemented!("only commands are measured")
    }

    async fn entities(
        &self,
        _: EntityType,
        _: Option<EntityId>,
        _: usize,
    ) -> Result<Vec<EntityId>, CallError> {
        unimplemented!("only commands are measured")
    }

    fn status(&self) -> NodeStatus {
        unimplemented!("only commands are measured")
    }
}
