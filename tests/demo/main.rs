//! What customers notice when the node that runs their carts is killed.
//!
//! The program behind `tests/demo.sh`: customers fill carts at a cluster that `stead
//! up` runs, the node that leads some of the carts is killed with SIGKILL, and the
//! carts' histories are read back at another and held against what was acknowledged.
//!
//! ```sh
//! stead up --data DIR &
//! stead deploy …/stead_sample_cart.wasm --manifest samples/cart/entity.toml
//! cargo run --release -p stead-tests --example demo -- DIR
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stead_tests::{
    client::Client,
    history::{History, Known},
    ledger::acknowledged,
    node::binary,
};

/// Customers, each with a cart of their own.
const CUSTOMERS: u64 = 48;
/// How long they shop before and after.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(6);
/// How long a customer thinks between two articles.
const THINK: Duration = Duration::from_millis(5);
/// Each customer's serials have so much room.
const SERIALS: u64 = 1_000_000;
/// The cart takes so many different articles.
const ARTICLES: u64 = 150;

/// A node, as `stead up` wrote it down.
struct Place {
    name: String,
    id: String,
    ingress: SocketAddr,
    admin: SocketAddr,
}

/// One acknowledged command: when it was first sent, and when it was answered.
struct Wait {
    cart: String,
    sent: Instant,
    done: Instant,
}

#[derive(Default)]
struct Seen {
    history: Mutex<History>,
    waits: Mutex<Vec<Wait>>,
    tries: std::sync::atomic::AtomicU64,
}

#[tokio::main]
async fn main() {
    let directory = std::env::args().nth(1).expect("the directory of `stead up`");
    let places = places(Path::new(&directory));
    let client = Client::default();
    let (seen, stop) = (Arc::<Seen>::default(), Arc::<AtomicBool>::default());
    let servers: Vec<SocketAddr> = places.iter().map(|place| place.ingress).collect();
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|number| tokio::spawn(shop(number, servers.clone(), seen.clone(), stop.clone())))
        .collect();
    println!("{CUSTOMERS} customers put articles in their carts, at all {} nodes", places.len());
    tokio::time::sleep(BEFORE).await;

    let lives = where_carts_live(&client, &places[0]).await;
    let victim = lives["cart/0"].clone();
    let died: BTreeSet<&String> =
        lives.iter().filter(|(_, id)| **id == victim).map(|(cart, _)| cart).collect();
    let killed = Instant::now();
    let said = Command::new(binary())
        .args(["chaos", "kill", "leader-of", "cart/0", "--data", &directory])
        .output()
        .expect("it runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    print!("{}", String::from_utf8_lossy(&said.stdout));
    println!("it led {} of the carts", died.len());
    tokio::time::sleep(AFTER).await;
    stop.store(true, Ordering::Relaxed);
    for customer in customers {
        customer.await.expect("every command is answered in the end");
    }

    // Read at a node that was there all the time.
    let reader = places.iter().find(|place| place.id != victim).expect("another node");
    let journal = read_back(&client, reader).await;
    let verdict = seen.history.lock().expect("unpoisoned").check(&journal);
    let (before, after, pauses) = what_was_seen(&seen, killed, &died);
    let doubled = doubled(&journal);
    let lost = verdict.violations.len();

    println!("\nThe pause that customers of the killed node's carts saw:");
    let at = |share: f64| {
        let last = pauses.len().saturating_sub(1);
        let place = ((pauses.len() as f64 * share) as usize).min(last);
        pauses.get(place).copied().unwrap_or_default().as_millis()
    };
    println!("  p50 {} ms   p99 {} ms   max {} ms", at(0.5), at(0.99), at(1.0));
    println!("\nAcknowledged, and read back at node {}:", reader.name);
    println!("  acknowledged before   {before}");
    println!("  acknowledged after    {after}");
    println!("  tries that failed     {}", seen.tries.load(Ordering::Relaxed));
    println!("  events in the carts   {}", verdict.events);
    println!("  lost                  {}", lost - doubled.min(lost));
    println!("  doubled               {doubled}");
    println!("\nWhere the carts live now:");
    show(&places, &lives, &where_carts_live(&client, reader).await, &victim);
    for violation in verdict.violations.iter().take(20) {
        println!("  {violation}");
    }
    assert!(verdict.violations.is_empty() && doubled == 0, "that must not be");
    assert!(before > 0 && after > 0, "nothing happened");
}

fn places(directory: &Path) -> Vec<Place> {
    let file = std::fs::read(directory.join("cluster.json")).expect("`stead up` runs there");
    let known: Value = serde_json::from_slice(&file).expect("JSON");
    let nodes = known["nodes"].as_array().expect("nodes");
    let text = |node: &Value, what: &str| node[what].as_str().expect("text").to_owned();
    let address = |node: &Value, what: &str| text(node, what).parse().expect("an address");
    nodes
        .iter()
        .map(|node| Place {
            name: text(node, "name"),
            id: text(node, "id"),
            ingress: address(node, "ingress"),
            admin: address(node, "admin"),
        })
        .collect()
}

/// One article after the other, each under a key of its own, and tried at one node
/// after the other until it is acknowledged.
async fn shop(number: u64, servers: Vec<SocketAddr>, seen: Arc<Seen>, stop: Arc<AtomicBool>) {
    let client = Client::new(Duration::from_secs(12));
    let cart = format!("cart/{number}");
    let path = format!("/entities/{cart}/add-item");
    for command in 0..SERIALS {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // The price is what tells this command's event from all others.
        let serial = number * SERIALS + command;
        let key = format!("{serial}");
        let article = json!({"sku": format!("{}", command % ARTICLES), "unit_price": serial});
        let sent = Instant::now();
        for attempt in 0.. {
            let server = servers[(number + command + attempt) as usize % servers.len()];
            let headers = [("idempotency-key", key.as_str())];
            let known = match client.post(server, &path, &headers, &article).await {
                Ok(answer) if answer.status == 200 => acknowledged(&answer),
                Ok(answer) if [429, 503, 504].contains(&answer.status.as_u16()) => Known::Unknown,
                Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
                Err(_) => Known::Unknown,
            };
            let done = matches!(known, Known::Acknowledged { .. });
            seen.history.lock().expect("unpoisoned").note(&cart, &key, known);
            if done {
                break;
            }
            seen.tries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let wait = Wait { cart: cart.clone(), sent, done: Instant::now() };
        seen.waits.lock().expect("unpoisoned").push(wait);
        tokio::time::sleep(THINK).await;
    }
}

/// The node that leads each cart, as a node says.
async fn where_carts_live(client: &Client, place: &Place) -> BTreeMap<String, String> {
    let status = client.get(place.admin, "/cluster").await.expect("an answer").json();
    let partitions = status["partitions"].as_array().cloned().unwrap_or_default();
    let mut lives = BTreeMap::new();
    for number in 0..CUSTOMERS {
        let cart = format!("cart/{number}");
        let shown = client.get(place.admin, &format!("/entities/{cart}")).await.expect("an answer");
        assert_eq!(shown.status, 200, "{}", shown.text());
        let partition = &shown.json()["partition"];
        let of = partitions.iter().find(|of| of["partition"] == *partition);
        let leader = of.and_then(|of| of["leader"].as_str()).unwrap_or("nobody");
        lives.insert(cart, leader.to_owned());
    }
    lives
}

/// Of each cart the numbers of its events and what tells them apart.
async fn read_back(client: &Client, place: &Place) -> BTreeMap<String, Vec<(u64, String)>> {
    let mut journal = BTreeMap::new();
    for number in 0..CUSTOMERS {
        let cart = format!("cart/{number}");
        let mut events: Vec<(u64, String)> = Vec::new();
        loop {
            let path = format!("/entities/{cart}/events?from={}&limit=1000", events.len() + 1);
            let page = client.get(place.admin, &path).await.expect("an answer");
            assert_eq!(page.status, 200, "{}", page.text());
            let page = page.json();
            let page = page["events"].as_array().expect("events");
            if page.is_empty() {
                break;
            }
            events.extend(page.iter().map(|event| {
                let sequence = event["sequence"].as_u64().expect("a number");
                (sequence, event["body"]["unit_price"].to_string())
            }));
        }
        journal.insert(cart, events);
    }
    journal
}

fn doubled(journal: &BTreeMap<String, Vec<(u64, String)>>) -> usize {
    let twice = |events: &Vec<(u64, String)>| {
        let different: BTreeSet<&String> = events.iter().map(|(_, serial)| serial).collect();
        events.len() - different.len()
    };
    journal.values().map(twice).sum()
}

/// How many were acknowledged before and after, and the longest that each customer of
/// those carts waited for one command that was under way then or later, in order.
fn what_was_seen(
    seen: &Seen,
    killed: Instant,
    died: &BTreeSet<&String>,
) -> (usize, usize, Vec<Duration>) {
    let waits = seen.waits.lock().expect("unpoisoned");
    let before = waits.iter().filter(|wait| wait.done < killed).count();
    let mut longest: BTreeMap<&String, Duration> = BTreeMap::new();
    for wait in waits.iter().filter(|wait| wait.done >= killed && died.contains(&wait.cart)) {
        let pause = wait.done - wait.sent.max(killed);
        let most = longest.entry(&wait.cart).or_default();
        *most = pause.max(*most);
    }
    let mut pauses: Vec<Duration> = longest.into_values().collect();
    pauses.sort_unstable();
    (before, waits.len() - before, pauses)
}

fn show(
    places: &[Place],
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    victim: &str,
) {
    let on = |lives: &BTreeMap<String, String>, id: &str| {
        lives.values().filter(|lives| *lives == id).count()
    };
    println!("  node           carts before   carts now");
    for place in places {
        let (was, is) = (on(before, &place.id), on(now, &place.id));
        let gone = if place.id == victim { "   killed" } else { "" };
        println!("  {} ({})   {was:>12}   {is:>9}{gone}", place.name, &place.id[..8]);
    }
    let name = |id: &String| {
        let place = places.iter().find(|place| place.id == *id);
        place.map_or("nobody", |place| place.name.as_str())
    };
    let moved = now.iter().filter(|(cart, _)| before.get(*cart).is_some_and(|id| id == victim));
    let moved: Vec<String> =
        moved.map(|(cart, id)| format!("{cart} on {}", name(id))).take(8).collect();
    println!("  of those that were on it: {}", moved.join(", "));
}
