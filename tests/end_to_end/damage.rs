//! Bits that flip on the disk while a node is down. Afterwards it either says
//! what is damaged, and where, or everything is as it was.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use http::Method;
use serde_json::{Value, json};
use stead_tests::{calls::SOON, node::Node, random::Random};

use crate::support::{House, SMALL, done};

const ENTITIES: u64 = 16;

/// All that can be seen of the entities, and what was refused instead.
type Seen = BTreeMap<String, Result<Value, String>>;

async fn look(node: &Node) -> Seen {
    let mut seen = Seen::new();
    for entity in 0..ENTITIES {
        for (what, answer) in [
            ("totals", node.get(&format!("/entities/ledger/{entity}/totals")).await),
            (
                "events",
                node.admin_get(&format!("/entities/ledger/{entity}/events?limit=1000")).await,
            ),
            ("retry", retry(node, entity).await),
        ] {
            let found = if answer.status == 200 { Ok(answer.json()) } else { Err(answer.text()) };
            seen.insert(format!("{entity} {what}"), found);
        }
    }
    let types = node.admin_get("/types").await;
    seen.insert("types".into(), Ok(types.json()));
    seen
}

async fn retry(node: &Node, entity: u64) -> stead_tests::client::Answer {
    let path = format!("/entities/ledger/{entity}/record");
    let headers = [("content-type", "application/json"), ("idempotency-key", "first")];
    let body = json!({"serial": "first"}).to_string();
    node.request(Method::POST, &path, &headers, body).await
}

/// A data directory with something of everything, from a node that was killed
/// or stopped.
async fn prepare(house: &House, stopped: bool) -> Seen {
    let settings = [SMALL, ("STEAD_JOURNAL_SEGMENT_SIZE", "1MiB")];
    let mut node = house.node(&settings).await;
    let manifest = json!({"type": "ledger", "snapshot": {"every-events": 8}});
    node.deploy(&stead_test_support::guest("ledger"), &manifest).await;
    for entity in 0..ENTITIES {
        done(&retry(&node, entity).await);
        for n in 0..20 {
            let body = json!({"serial": format!("{n} {}", "x".repeat(500))});
            done(&node.call(&format!("ledger/{entity}"), "record", &body).await);
        }
    }
    if stopped {
        assert!(node.stop().success());
        // So that the log, too, has something that the stores don't.
        node = house.node(&settings).await;
    }
    let seen = look(&node).await;
    assert!(seen.values().all(Result::is_ok), "{seen:?}");
    node.kill();
    seen
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn copy(from: &Path, to: &Path) {
    let copied =
        std::process::Command::new("cp").args(["-r", "--sparse=always"]).args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()), "cp is there");
}

/// Places in a file that hold something: a flip in emptiness is none.
fn places(bytes: &[u8], count: usize, random: &mut Random) -> Vec<usize> {
    let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    if written.is_empty() {
        return Vec::new();
    }
    (0..count).map(|_| written[random.below(written.len() as u64) as usize]).collect()
}

/// Starts a node on a damaged directory. It must refuse, with words that name the
/// file, or show each thing as it was, or say of that thing that it is damaged.
async fn judge(data: &Path, damaged: &Path, undamaged: &Seen) -> &'static str {
    let name = damaged.file_name().expect("a name").to_string_lossy().into_owned();
    let stem = damaged.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut node = Node::spawn(data, &[SMALL, ("STEAD_JOURNAL_SEGMENT_SIZE", "1MiB")]);
    let until = Instant::now() + SOON;
    loop {
        if let Ok(answer) = node.client.get(node.admin, "/readyz").await
            && [200, 503].contains(&answer.status.as_u16())
            && !answer.text().contains("the node is starting")
        {
            break;
        }
        if node.has_ended() {
            let log = node.log_text();
            assert!(log.contains(&name), "{name} isn't named: {}", node.log_tail());
            // redb's own panics on a head that makes no sense are caught and named.
            let own = |line: &&str| line.contains("panicked at") && !line.contains("/redb-");
            assert_eq!(log.lines().find(own), None, "{}", node.log_tail());
            return "refused to start";
        }
        assert!(Instant::now() < until, "neither ready nor ended\n{}", node.log_tail());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seen = look(&node).await;
    let log = node.log_text();
    assert!(!log.contains("panicked"), "{}", node.log_tail());
    let mut all_is_as_before = true;
    for (what, before) in undamaged {
        match seen.get(what) {
            Some(Err(said)) => {
                all_is_as_before = false;
                assert!(
                    said.contains(&stem) || log.contains(&name),
                    "{what} is refused and {name} isn't named: {said}\n{}",
                    node.log_tail()
                );
            }
            // A type whose component is damaged is not among those in service.
            Some(Ok(types)) if what == "types" && types["types"] == json!([]) => {
                all_is_as_before = false;
                assert!(log.contains(&name), "{name} isn't named\n{}", node.log_tail());
            }
            found => assert_eq!(found, Some(before), "{what} is silently different ({name})"),
        }
    }
    if all_is_as_before { "served what was there" } else { "said what is damaged" }
}

async fn flips(stopped: bool, count: usize, chosen: impl Fn(&str) -> bool) -> Vec<String> {
    let mut random = Random::from_environment("damage");
    let house = House::new();
    let undamaged = prepare(&house, stopped).await;
    let mut outcomes = Vec::new();
    for file in files(&house.data()) {
        let relative = file.strip_prefix(house.data()).expect("below it").to_owned();
        if !chosen(&relative.to_string_lossy()) {
            continue;
        }
        let bytes = std::fs::read(&file).expect("a file");
        let mut spots: Vec<(usize, u64)> = places(&bytes, count, &mut random)
            .into_iter()
            .map(|at| (at, random.below(8)))
            .collect();
        if relative.extension().is_some_and(|extension| extension == "redb") {
            // The head of such a file says which of two commits is the newer.
            spots.extend((0..3).map(|bit| (9, bit)));
        }
        for (place, bit) in spots {
            let data = house.path().join("damaged");
            copy(&house.data(), &data);
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << bit;
            std::fs::write(data.join(&relative), bytes).expect("written");
            let what = format!("{} byte {place} bit {bit}", relative.display());
            println!("{what}");
            let outcome = judge(&data, &data.join(&relative), &undamaged).await;
            outcomes.push(format!("{what}: {outcome}"));
            std::fs::remove_dir_all(&data).expect("removed");
            let _ = std::fs::remove_file(data.with_extension("log"));
        }
    }
    for outcome in &outcomes {
        println!("{outcome}");
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_in_the_log_are_found() {
    let outcomes = flips(false, 4, |file| file.starts_with("journal/log")).await;
    assert!(outcomes.len() >= 4, "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| !outcome.ends_with("served what was there")));
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_in_the_stores_are_found() {
    let is_store = |file: &str| file.starts_with("journal/partitions");
    let outcomes = flips(true, 4, is_store).await;
    assert!(outcomes.len() >= 16, "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| !outcome.ends_with("served what was there")));
}

/// The identity, the catalog, components and what was compiled of them.
#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_in_all_else_are_found() {
    let is_else =
        |file: &str| !file.starts_with("journal/log") && !file.starts_with("journal/partitions");
    let outcomes = flips(true, 3, is_else).await;
    assert!(outcomes.iter().any(|outcome| outcome.starts_with("components/")), "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| outcome.starts_with("catalog")), "{outcomes:?}");
    // A component is checked as a whole: no flip in it goes unseen.
    assert!(
        outcomes
            .iter()
            .filter(|outcome| outcome.starts_with("components/"))
            .all(|outcome| !outcome.ends_with("served what was there")),
        "{outcomes:?}"
    );
}
