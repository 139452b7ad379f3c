//! `stead cluster`, `node drain`, `why`, `up` and `chaos`.

use serde_json::{Value, json};

use crate::fake::{Fake, Prepared, Ran, stead};

const ONE: &str = "aa111111111111111111111111111111";
const TWO: &str = "ab222222222222222222222222222222";

fn node(id: &str, members: &Value) -> Value {
    let mut node = json!({
        "node": id, "health": "present", "asked": id == ONE, "draining": false,
        "given-up": false, "gone-since": null, "address": format!("127.0.0.1:{}", &id[2..5]),
        "ingress": "127.0.0.1:1", "zone": null, "leads": 1, "votes": 2, "learns": 0, "holds": 2,
    });
    merge(&mut node, members);
    node
}

fn merge(into: &mut Value, members: &Value) {
    for (name, value) in members.as_object().expect("members") {
        into[name] = value.clone();
    }
}

fn status(two: &Value, members: &Value) -> Value {
    let mut status = json!({
        "cluster": "cc".repeat(16), "nodes": [node(ONE, &json!({})), node(TWO, two)],
        "partitions": [{
            "partition": 0, "leader": TWO, "term": 4, "last": 200, "voters": [ONE, TWO],
            "learners": [], "is-changing": false, "behind": {ONE: 12},
            "placement": {"leader": TWO, "nodes": [ONE, TWO], "reason": null, "doing": null},
        }],
        "replicas-wanted": 2, "under-replicated": 0, "leaderless": 0, "moving": 0,
        "lost": [], "moves": [],
    });
    merge(&mut status, members);
    status
}

fn answer(two: &Value, members: &Value) -> Prepared {
    Prepared::json(200, &status(two, members))
}

fn drained(draining: bool, warnings: &[&str]) -> Prepared {
    let answer = json!({
        "node": TWO, "draining": draining, "nodes-staying": 3, "warnings": warnings,
    });
    Prepared::json(200, &answer)
}

fn calm() -> Prepared {
    answer(&json!({}), &json!({}))
}

#[test]
fn a_node_is_drained_until_it_is_empty() {
    let draining =
        |holds: u64| answer(&json!({"draining": true, "leads": 0, "holds": holds}), &json!({}));
    let fake = Fake::new([
        calm(),
        drained(true, &["each partition will have 2 replicas"]),
        draining(2),
        draining(1),
        draining(0),
    ]);
    let ran = fake.run(&["node", "drain", "AB2", "--force"]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    assert!(ran.out.contains("node ab222222 is empty"), "{}", ran.out);
    assert!(ran.error.contains("warning: each partition will have 2 replicas"), "{}", ran.error);
    let asked = fake.asked();
    assert_eq!(asked[1].line, format!("PUT /cluster/nodes/{TWO}/drain"));
    assert_eq!(asked[1].json(), json!({"force": true}));
    assert_eq!(asked.len(), 5);
}

#[test]
fn draining_ends_when_the_node_is_gone_or_stays() {
    let fake = Fake::new([
        calm(),
        drained(true, &[]),
        answer(&json!({"draining": true, "health": "gone", "gone-since": 1}), &json!({})),
    ]);
    let ran = fake.run(&["node", "drain", TWO]);
    assert_eq!(ran.exit, 6, "{}", ran.error);
    assert!(ran.error.contains("is gone, and had 2 replicas left"), "{}", ran.error);
    let fake = Fake::new([calm(), drained(true, &[]), calm()]);
    let ran = fake.run(&["node", "drain", TWO]);
    assert_eq!(ran.exit, 1, "{}", ran.error);
    let fake = Fake::new([calm(), drained(false, &[])]);
    let ran = fake.run(&["node", "drain", "127.0.0.1:222", "--undo", "--json"]);
    assert_eq!(ran.json()["draining"], false);
    assert_eq!(fake.lines()[1], format!("DELETE /cluster/nodes/{TWO}/drain"));
}

#[test]
fn a_node_must_be_named_so_that_it_is_one() {
    let fake = Fake::new([calm(), calm()]);
    let ran = fake.run(&["node", "drain", "a"]);
    assert_eq!(ran.exit, 2, "{}", ran.error);
    assert!(ran.error.contains(ONE) && ran.error.contains(TWO), "{}", ran.error);
    let ran = fake.run(&["node", "drain", "zz"]);
    assert_eq!(ran.exit, 5, "{}", ran.error);
    assert!(ran.error.contains("aa111111, ab222222"), "{}", ran.error);
    assert_eq!(fake.lines(), ["GET /cluster", "GET /cluster"], "nothing was decided");
}

#[test]
fn a_node_still_takes_its_own_flags() {
    let ran = Ran::of(stead(&["node", "--set", "node.nonsense=1"]).output().expect("it runs"));
    assert_eq!(ran.exit, 2, "{}", ran.error);
    assert!(ran.error.contains("node.nonsense"), "{}", ran.error);
}

#[test]
fn what_is_amiss_and_what_moves_is_shown() {
    let fake = Fake::new([answer(
        &json!({"health": "gone", "gone-since": 5}),
        &json!({
            "leaderless": 1,
            "lost": [{"partition": 0, "missing": [TWO], "needed": 1, "since": 0}],
            "moves": [{"partition": 0, "to": ONE, "lacks": 50, "of": 200, "reason": "balance"}],
        }),
    )]);
    let ran = fake.run(&["cluster", "status"]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    assert!(ran.out.contains("75 %") && ran.out.contains("balance"), "{}", ran.out);
    assert!(!ran.out.contains('█'), "a bar is for people");
    let said = "partition 0 has lost the majority at 1970-01-01T00:00:00.000Z: node ab222222 gone";
    assert!(ran.error.contains(said), "{}", ran.error);
    assert!(ran.error.contains("stead cluster recover"), "{}", ran.error);
    assert!(!ran.error.contains("in its stead"), "nothing can take its place: {}", ran.error);
}

/// Whoever looks sees that a node is missed, and what comes of it.
#[test]
fn a_node_that_is_gone_is_named_with_what_becomes_of_its_replicas() {
    let gone = json!({"health": "gone", "gone-since": 5, "votes": 7});
    let few = answer(&gone, &json!({"replicas-set": 2}));
    let enough = answer(&gone, &json!({"replicas-set": 1}));
    let given_up = json!({"health": "gone", "given-up": true, "votes": 7});
    let fake = Fake::new([few, enough, answer(&given_up, &json!({}))]);
    let ran = fake.run(&["cluster", "status"]);
    let said = "node ab222222 is gone since 1970-01-01T00:00:00.005Z; its replicas: 7";
    assert!(ran.error.contains(said), "{}", ran.error);
    assert!(ran.error.contains("start another in its stead"), "{}", ran.error);
    let ran = fake.run(&["cluster", "status"]);
    assert!(ran.error.contains(said), "{}", ran.error);
    assert!(ran.error.contains("are made anew on other nodes"), "{}", ran.error);
    let ran = fake.run(&["cluster", "status"]);
    assert!(!ran.error.contains("gone"), "it must not come back: {}", ran.error);
}

#[test]
fn why_tells_all_that_there_is() {
    let entity = json!({
        "address": "cart/1", "partition": 0, "live": true, "last-sequence": 9,
        "snapshot-sequence": 4, "waiting": 0, "last-replay-events": 5, "last-replay-us": 2_345,
        "instance-memory-bytes": 1_536, "quarantined": false, "unreadable": null,
    });
    let fake = Fake::new([Prepared::json(200, &entity), calm()]);
    let ran = fake.run(&["why", "cart/1"]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    for part in [
        "node ab222222, elected in term 4",
        "leaders are spread evenly",
        "belong on aa111111, ab222222",
        "lacks 12 entries",
        "has all",
        "yes, live",
        "1.5 KiB",
        "5 events in 2.3 ms",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}

fn recovery(done: bool) -> Prepared {
    Prepared::json(
        200,
        &json!({
            "done": done, "sound": 7,
            "recovered": [{
                "partition": 3, "is-the-clusters-own": false, "with": ONE, "last": 12,
                "committed": 11, "others": [
                    {"node": ONE, "is-there": true, "last": 12},
                    {"node": TWO, "is-there": false, "last": null},
                ],
            }],
            "waiting": [{"partition": 5, "waits-for": [TWO]}],
        }),
    )
}

#[test]
fn data_is_given_up_only_when_that_is_said() {
    let fake =
        Fake::new([calm(), recovery(false), calm(), recovery(false), calm(), recovery(true)]);
    let ran = fake.run(&["cluster", "recover", "--lost", "ab"]);
    assert_eq!(ran.exit, 1, "{}", ran.error);
    assert!(ran.out.contains("would go on with".to_uppercase().as_str()), "{}", ran.out);
    assert!(ran.out.contains("aa111111 12, ab222222 ? (lost)"), "{}", ran.out);
    assert!(ran.out.contains("nothing was changed"), "{}", ran.out);
    assert!(ran.error.contains("partition 5 waits for node ab222222"), "{}", ran.error);
    assert_eq!(fake.run(&["cluster", "recover", "--lost", "ab", "--dry-run"]).exit, 0);
    let ran = fake.run(&["cluster", "recover", "--lost", "ab", "--i-accept-data-loss"]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    let asked = fake.asked();
    for (at, accepted) in [(1, false), (3, false), (5, true)] {
        assert_eq!(asked[at].line, "POST /cluster/recover");
        let body = json!({"lost": [TWO], "accept-data-loss": accepted});
        assert_eq!(asked[at].json(), body);
    }
}

#[test]
fn there_is_nothing_to_break_where_nothing_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_str().expect("text");
    let ran = Ran::of(stead(&["chaos", "kill", "1", "--data", data]).output().expect("it runs"));
    assert_eq!(ran.exit, 1, "{}", ran.error);
    assert!(ran.error.contains("there is no local cluster"), "{}", ran.error);
    let up = ["up", "--data", data, "--nodes", "0", "--json"];
    let ran = Ran::of(stead(&up).output().expect("it runs"));
    assert_eq!(ran.exit, 2, "{}", ran.error);
    assert_eq!(ran.error_json()["error"]["kind"], "usage");
}
