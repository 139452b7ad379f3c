//! Running a plan: closed loops on a few threads, and their figures together.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::LocalSet;

use super::{
    Plan,
    connection::{Answer, Connection},
    histogram::{Latencies, Recorder},
};

/// After a failed exchange a client pauses, so that a server that is gone isn't
/// asked a million times a second.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);
/// How long clients may take for the request that they are at when time is up.
const GRACE: Duration = Duration::from_secs(15);

/// What a run showed.
#[derive(Debug, Clone)]
pub struct Figures {
    /// How long was measured.
    pub elapsed: Duration,
    /// Requests that were answered with a status of 2xx, sent and answered in that time.
    pub succeeded: u64,
    /// Requests by any other status.
    pub by_status: BTreeMap<u16, u64>,
    /// Exchanges that broke off, by what happened.
    pub broken: BTreeMap<String, u64>,
    /// Latencies of those that succeeded.
    pub latencies: Latencies,
}

impl Figures {
    /// Successes a second.
    pub fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate is rounded anyway")]
        let succeeded = self.succeeded as f64;
        succeeded / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// All that went wrong.
    pub fn failed(&self) -> u64 {
        self.by_status.values().chain(self.broken.values()).sum()
    }
}

/// What one thread's clients gather.
struct Tally {
    latencies: Recorder,
    succeeded: u64,
    by_status: BTreeMap<u16, u64>,
    broken: BTreeMap<String, u64>,
}

impl Tally {
    fn new() -> Self {
        Self {
            latencies: Recorder::new(),
            succeeded: 0,
            by_status: BTreeMap::new(),
            broken: BTreeMap::new(),
        }
    }

    fn record(&mut self, result: Result<Answer, String>, latency: Duration) {
        match result {
            Ok(Answer { status: 200..=299, .. }) => {
                self.succeeded += 1;
                self.latencies.record(latency);
            }
            Ok(Answer { status, .. }) => *self.by_status.entry(status).or_default() += 1,
            Err(reason) => *self.broken.entry(reason).or_default() += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        self.succeeded += other.succeeded;
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        for (reason, count) in other.broken {
            *self.broken.entry(reason).or_default() += count;
        }
    }
}

/// Which entity a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Any, until time is up.
    AtRandom,
    /// The one of the request's number, until there are no more.
    EachOnce,
}

/// What all threads share.
struct Shared {
    plan: Plan,
    choice: Choice,
    /// The number of the next request.
    next: AtomicU64,
    /// Whether answers count now.
    measuring: AtomicBool,
    /// Whether time is up.
    over: AtomicBool,
}

impl Shared {
    fn new(plan: Plan, choice: Choice, measuring: bool) -> Arc<Self> {
        Arc::new(Self {
            plan,
            choice,
            next: AtomicU64::new(0),
            measuring: AtomicBool::new(measuring),
            over: AtomicBool::new(false),
        })
    }

    /// The entity that the request of this number goes to; `None` after the last.
    fn entity(&self, number: u64) -> Option<u64> {
        match self.choice {
            Choice::AtRandom => Some(fastrand::u64(..self.plan.entities.max(1))),
            Choice::EachOnce => (number < self.plan.entities).then_some(number),
        }
    }
}

/// Runs a plan; blocks the calling thread until it is over. `tick` is called
/// now and then with the time that has passed.
///
/// # Errors
/// If no connection can be made at all, or no thread.
pub fn run(plan: Plan, mut tick: impl FnMut(Duration)) -> io::Result<Figures> {
    let (warmup, duration) = (plan.warmup, plan.duration);
    let shared = Shared::new(plan, Choice::AtRandom, warmup.is_zero());
    let workers = start(&shared)?;
    wait(warmup, Duration::ZERO, &mut tick);
    shared.measuring.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    wait(duration, warmup, &mut tick);
    shared.over.store(true, Ordering::Relaxed);
    finish(workers, begun)
}

/// Sends the plan's operation to each of its entities once; blocks until all
/// have answered.
///
/// # Errors
/// As [`run`].
pub fn once_each(plan: Plan) -> io::Result<Figures> {
    let shared = Shared::new(plan, Choice::EachOnce, true);
    let begun = Instant::now();
    finish(start(&shared)?, begun)
}

type Worker = std::thread::JoinHandle<io::Result<Tally>>;

fn start(shared: &Arc<Shared>) -> io::Result<Vec<Worker>> {
    // One that fails says more than a run of failures.
    drop(std::net::TcpStream::connect_timeout(
        &shared.plan.target.address,
        Duration::from_secs(5),
    )?);
    let threads = shared.plan.threads.max(1);
    (0..threads)
        .map(|at| {
            let shared = Arc::clone(shared);
            let clients = share(shared.plan.clients, threads, at);
            std::thread::Builder::new()
                .name(format!("load-{at}"))
                .spawn(move || work(&shared, clients))
        })
        .collect()
}

/// Waits for the threads and puts their figures together.
fn finish(workers: Vec<Worker>, begun: Instant) -> io::Result<Figures> {
    let elapsed = begun.elapsed();
    let mut whole = Tally::new();
    for worker in workers {
        match worker.join() {
            Ok(tally) => whole.add(tally?),
            Err(_) => return Err(io::Error::other("a thread of the load generator broke down")),
        }
    }
    Ok(Figures {
        elapsed,
        succeeded: whole.succeeded,
        by_status: whole.by_status,
        broken: whole.broken,
        latencies: whole.latencies.latencies(),
    })
}

/// Waits, calling `tick`.
fn wait(span: Duration, before: Duration, tick: &mut impl FnMut(Duration)) {
    let begun = Instant::now();
    while let Some(left) = span.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        tick(before + span.saturating_sub(left));
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

/// How many of `count` the `at`th of `threads` gets.
fn share(count: usize, threads: usize, at: usize) -> usize {
    count / threads + usize::from(at < count % threads)
}

/// One thread's clients.
fn work(shared: &Arc<Shared>, clients: usize) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let tally = Rc::new(RefCell::new(Tally::new()));
    for _ in 0..clients {
        let (shared, tally) = (Arc::clone(shared), Rc::clone(&tally));
        local.spawn_local(async move { client(&shared, &tally).await });
    }
    runtime.block_on(async {
        // A server that never answers must not hold the run up for ever.
        let time_is_up = async {
            while !shared.over.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = local => {}
            () = time_is_up => {}
        }
    });
    drop(runtime);
    let tally = std::mem::replace(&mut *tally.borrow_mut(), Tally::new());
    Ok(tally)
}

/// One client: a request, its answer, the next request.
async fn client(shared: &Shared, tally: &RefCell<Tally>) {
    let (mut request, mut body) = (Vec::new(), Vec::new());
    let mut connection = None;
    while !shared.over.load(Ordering::Relaxed) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(entity) = shared.entity(number) else { return };
        let target = &shared.plan.target;
        shared.plan.operation.write(&mut request, &mut body, &target.authority, number, entity);
        let counted = shared.measuring.load(Ordering::Relaxed);
        let begun = Instant::now();
        let result = exchange(&mut connection, target.address, &request).await;
        let failed = result.is_err();
        // What ends after time is up belongs to no second that was measured.
        if counted && !shared.over.load(Ordering::Relaxed) {
            tally.borrow_mut().record(result, begun.elapsed());
        }
        if failed {
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}

/// An exchange over the connection that is there, or a new one.
async fn exchange(
    connection: &mut Option<Connection>,
    address: std::net::SocketAddr,
    request: &[u8],
) -> Result<Answer, String> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::open(address).await.map_err(|error| format!("connecting: {error}"))?,
    };
    let answer = open.exchange(request).await.map_err(|error| format!("exchange: {error}"))?;
    if answer.keeps {
        *connection = Some(open);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{EchoServer, Operation, Target, Template};

    #[test]
    fn clients_are_shared_out_evenly() {
        let shares: Vec<usize> = (0..3).map(|at| share(8, 3, at)).collect();
        assert_eq!(shares, [3, 3, 2]);
    }

    fn plan(address: std::net::SocketAddr, path: &str) -> Plan {
        Plan {
            target: Target { address, authority: address.to_string() },
            operation: Operation {
                path: (path.into(), String::new()),
                method: "POST",
                body: Some(Template::new("{\"n\":{{n}}}")),
                content_type: "application/json".into(),
            },
            clients: 8,
            threads: 2,
            entities: 10,
            duration: Duration::from_millis(300),
            warmup: Duration::from_millis(50),
        }
    }

    #[test]
    fn a_run_against_an_echo_counts_successes_and_their_latencies() {
        let server = EchoServer::start().expect("started");
        let figures = run(plan(server.address(), "/echo/"), |_| ()).expect("run");
        assert!(figures.succeeded > 100, "{figures:?}");
        assert_eq!(figures.failed(), 0, "{figures:?}");
        assert!(
            figures.latencies.p50_us >= 1 && figures.latencies.p50_us <= figures.latencies.max_us
        );
        assert!(figures.elapsed >= Duration::from_millis(300));
    }

    #[test]
    fn each_entity_is_asked_once() {
        let server = EchoServer::start().expect("started");
        let figures = once_each(plan(server.address(), "/echo/")).expect("run");
        assert_eq!((figures.succeeded, figures.failed()), (10, 0), "{figures:?}");
    }

    #[test]
    fn other_statuses_are_counted_apart() {
        let server = EchoServer::start().expect("started");
        let figures = run(plan(server.address(), "/nowhere/"), |_| ()).expect("run");
        assert_eq!(figures.succeeded, 0);
        assert!(figures.by_status.get(&404).is_some_and(|count| *count > 0), "{figures:?}");
    }

    #[test]
    fn nobody_there_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        assert!(run(plan(address, "/"), |_| ()).is_err());
    }
}
