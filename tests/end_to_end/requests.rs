//! Requests good and bad, through the whole stack.

use crate::support::{House, done, problem, raw, says};
use http::Method;
use serde_json::{Value, json};
use stead_tests::node::Node;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn node_with_ledger(house: &House) -> Node {
    let node = house.node(&[]).await;
    let manifest = json!({
        "type": "ledger",
        "route": [{"method": "POST", "path": "/ledgers/{id}/{serial}", "command": "record"}],
    });
    node.deploy(&stead_test_support::guest("ledger"), &manifest).await;
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_is_told_where_and_records_nothing() {
    let house = House::new();
    let node = node_with_ledger(&house).await;
    let send = async |body: &str| {
        let path = "/entities/ledger/a/record";
        node.request(Method::POST, path, &[JSON], body.to_owned()).await
    };
    let malformed = problem(&send("{\"serial\": \n  oops}").await, 400, "malformed-body");
    assert_eq!(malformed["line"], 2, "{malformed}");
    problem(&send("{\"serial\": \"x\"").await, 400, "malformed-body");
    problem(&send("\u{feff}{}").await, 400, "malformed-body");
    // What is JSON but not the argument is refused too, by the entity's own types.
    for (body, word) in
        [("{\"serial\": 7}", "serial"), ("{}", "serial"), ("[]", ""), ("null", ""), ("7", "")]
    {
        let answer = send(body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        says(&answer.json(), word);
    }
    let latin1 = node
        .request(
            Method::POST,
            "/entities/ledger/a/record",
            &[JSON],
            b"{\"serial\":\"\xe9\"}".to_vec(),
        )
        .await;
    problem(&latin1, 400, "malformed-body");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = node.request(Method::POST, "/entities/ledger/a/record", &form, "serial=1").await;
    problem(&answer, 415, "unsupported-content-type");
    let twice = node.post("/ledgers/a/one", &json!({"serial": "two"})).await;
    says(&problem(&twice, 400, "malformed-argument"), "serial");
    assert_eq!(node.events("ledger/a").await, Vec::<Value>::new());

    done(&node.post("/ledgers/a/one", &json!({})).await);
    done(&node.request(Method::POST, "/ledgers/a/two", &[], "").await);
    assert_eq!(node.ask("/entities/ledger/a/totals").await, json!({"count": 2, "last": "two"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named_beside_what_is() {
    let house = House::new();
    let node = node_with_ledger(&house).await;
    let body = json!({"serial": "x"});
    let unknown = problem(&node.call("legder/a", "record", &body).await, 404, "unknown-type");
    assert_eq!(unknown["known"], json!(["ledger"]));
    let unknown = problem(&node.call("ledger/a", "recrod", &body).await, 404, "unknown-command");
    assert!(unknown["known"].to_string().contains("record-many"), "{unknown}");
    problem(&node.get("/entities/ledger/a/total").await, 404, "unknown-query");
    problem(&node.get("/ledger/a").await, 404, "unknown-route");
    problem(&node.get("/").await, 404, "unknown-route");
    // A query is asked with GET, a command sent with POST.
    let wrong = node.request(Method::PUT, "/entities/ledger/a/record", &[JSON], "{}").await;
    problem(&wrong, 405, "method-not-allowed");
    assert!(!wrong.header("allow").is_empty());
    problem(&node.admin_get("/types/none").await, 404, "unknown-type");
    // Journals outlive types: one that isn't in service may have had this entity.
    assert_eq!(node.admin_ask("/entities/none/a").await["last-sequence"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_what_was_sent_and_never_mixed_up() {
    let house = House::new();
    let node = node_with_ledger(&house).await;
    let long = "x".repeat(10_000);
    let longest = "y".repeat(512);
    let encoded = [
        ("a%2Fb", "a/b"),
        ("a", "a"),
        ("A", "A"),
        ("%C3%A9", "é"),
        ("e%CC%81", "e\u{301}"),
        ("%F0%9F%8D%B5", "🍵"),
        ("a%20b", "a b"),
        ("a%3Fb%23c", "a?b#c"),
        ("100%25", "100%"),
        (longest.as_str(), longest.as_str()),
    ];
    for (path, id) in encoded {
        let answer = node.call(&format!("ledger/{path}"), "record", &json!({"serial": id})).await;
        assert_eq!(done(&answer), json!({"count": 1, "last": id}), "{path}");
    }
    let mut expected: Vec<&str> = encoded.iter().map(|(_, id)| *id).collect();
    expected.sort_unstable();
    let listed = node.admin_ask("/types/ledger/entities").await;
    assert_eq!(listed["entities"], json!(expected));
    for (path, id) in encoded {
        let totals = node.ask(&format!("/entities/ledger/{path}/totals")).await;
        assert_eq!(totals, json!({"count": 1, "last": id}));
        let events = node.events(&format!("ledger/{path}")).await;
        assert_eq!(events[0]["body"]["serial"], id);
    }

    let body = json!({"serial": "x"});
    let empty = node.call("ledger/", "record", &body).await;
    assert!([400, 404].contains(&empty.status.as_u16()), "{}", empty.text());
    problem(&empty, empty.status.as_u16(), empty.json()["code"].as_str().unwrap_or_default());
    let answer = node.call(&format!("ledger/{long}"), "record", &body).await;
    assert!([400, 414].contains(&answer.status.as_u16()), "{} {}", answer.status, answer.text());
    for path in ["ledger/%FF", "ledger/%2", "ledger/a%00b"] {
        let answer = node.call(path, "record", &body).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    let listed = node.admin_ask("/types/ledger/entities").await;
    assert_eq!(listed["entities"].as_array().map(Vec::len), Some(encoded.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_refused_with_and_without_their_length() {
    let house = House::new();
    let node = house.node(&[("STEAD_REQUESTS_BODY_SIZE_MAX", "64KiB")]).await;
    node.deploy(&stead_test_support::guest("ledger"), &json!({"type": "ledger"})).await;
    let large = json!({"serial": "x".repeat(70_000)}).to_string();
    let head = "POST /entities/ledger/a/record HTTP/1.1\r\nhost: x\r\n\
                content-type: application/json\r\n";
    let length = format!("content-length: {}\r\n\r\n", large.len());
    let answer = raw(node.ingress, &[head, &length, &large]).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("body-too-large") && answer.contains("65536"), "{answer}");
    let fits = json!({"serial": "x".repeat(65_000)});
    done(&node.call("ledger/a", "record", &fits).await);

    // Chunks, so that nobody knows the length before it is too much.
    let head = "POST /entities/ledger/b/record HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("2000\r\n{}\r\n", "y".repeat(0x2000));
    let chunks = [vec![head], vec![chunk.as_str(); 9], vec!["0\r\n\r\n"]].concat();
    let answer = raw(node.ingress, &chunks).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("body-too-large"), "{answer}");
    assert_eq!(node.events("ledger/b").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_under_a_key_gets_the_first_reply() {
    let house = House::new();
    let node = node_with_ledger(&house).await;
    let send = async |key: &str, entity: &str, body: Value| {
        let path = format!("/entities/ledger/{entity}/record");
        node.request(Method::POST, &path, &[JSON, ("idempotency-key", key)], body.to_string()).await
    };
    let first = send("k1", "a", json!({"serial": "x"})).await;
    assert_eq!(first.header("stead-replayed"), "");
    done(&send("k2", "a", json!({"serial": "y"})).await);
    for _ in 0..3 {
        let retry = send("k1", "a", json!({"serial": "x"})).await;
        assert_eq!(retry.header("stead-replayed"), "true");
        assert_eq!((retry.status, &retry.body), (first.status, &first.body));
        for header in ["stead-sequence", "stead-request-id", "content-type"] {
            assert_eq!(retry.header(header), first.header(header), "{header}");
        }
    }
    let misused = send("k1", "a", json!({"serial": "z"})).await;
    problem(&misused, 422, "idempotency-key-reused");
    let path = "/entities/ledger/a/record-new";
    let headers = [JSON, ("idempotency-key", "k1")];
    let other = node.request(Method::POST, path, &headers, "{\"serial\":\"x\"}").await;
    problem(&other, 422, "idempotency-key-reused");
    // A key is its entity's: another entity doesn't know it.
    done(&send("k1", "b", json!({"serial": "z"})).await);
    assert_eq!(node.events("ledger/a").await.len(), 2);

    // A rejection records nothing, so its key is free.
    let headers = [JSON, ("idempotency-key", "k3")];
    let rejected = node.request(Method::POST, path, &headers, "{\"serial\":\"y\"}").await;
    problem(&rejected, 409, "repeated");
    done(&send("k4", "a", json!({"serial": "w"})).await);
    let again = node.request(Method::POST, path, &headers, "{\"serial\":\"y\"}").await;
    assert_eq!(done(&again)["count"], 4);

    let too_long = "k".repeat(10_000);
    for key in ["", too_long.as_str()] {
        let answer = send(key, "a", json!({"serial": "v"})).await;
        assert!([400, 431].contains(&answer.status.as_u16()), "{}", answer.text());
    }
    assert_eq!(node.events("ledger/a").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_retries_at_once_are_done_once() {
    let house = House::new();
    let node = node_with_ledger(&house).await;
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (client, server) = (node.client.clone(), node.ingress);
            tokio::spawn(async move {
                let headers = [("idempotency-key", "same")];
                let body = json!({"serial": "x"});
                let path = "/entities/ledger/a/record";
                client.post(server, path, &headers, &body).await.expect("an answer")
            })
        })
        .collect();
    let mut firsts = 0;
    for task in tasks {
        let answer = task.await.expect("a task ends well");
        assert_eq!(done(&answer), json!({"count": 1, "last": "x"}));
        firsts += usize::from(answer.header("stead-replayed").is_empty());
    }
    assert_eq!((firsts, node.events("ledger/a").await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_are_kept_and_the_request_id_given_out() {
    let house = House::new();
    let node = house.node(&[("STEAD_GUESTS_CALL_TIMEOUT", "3s")]).await;
    node.deploy(&stead_test_support::guest("evil"), &json!({"type": "evil"})).await;
    let text = ("content-type", "text/plain");
    for bad in ["0", "-1", "soon", "1.5"] {
        let headers = [text, ("stead-deadline-ms", bad)];
        let answer = node.request(Method::POST, "/entities/evil/a/add", &headers, "1").await;
        problem(&answer, 400, "malformed-deadline");
    }
    // The guest is busy for longer than the caller waits.
    let headers = [text, ("stead-deadline-ms", "200"), ("idempotency-key", "k1")];
    let began = std::time::Instant::now();
    let answer = node.request(Method::POST, "/entities/evil/a/act", &headers, "loop").await;
    assert!(began.elapsed().as_millis() < 2_000, "{:?}", began.elapsed());
    let unknown = problem(&answer, 504, "outcome-unknown");
    assert!(unknown["request-id"].as_str().is_some_and(|id| id.contains("k1")), "{unknown}");
    assert_eq!(answer.header("stead-request-id"), unknown["request-id"]);
    // In time the entity answers again, and nothing was recorded.
    assert_eq!(done_text(&node.tell("evil/a", "add", "5").await), "5");
    assert_eq!(node.events("evil/a").await.len(), 1);
}

#[track_caller]
fn done_text(answer: &stead_tests::client::Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_wait_is_told_for_how_long() {
    let house = House::new();
    let settings =
        [("STEAD_ENTITIES_PARTITION_MAILBOX_MAX", "4"), ("STEAD_GUESTS_CALL_TIMEOUT", "2s")];
    let node = house.node(&settings).await;
    node.deploy(&stead_test_support::guest("evil"), &json!({"type": "evil"})).await;
    let send = |command: &'static str, body: &'static str| {
        let (client, server) = (node.client.clone(), node.ingress);
        tokio::spawn(async move {
            let path = format!("/entities/evil/a/{command}");
            let headers = [("content-type", "text/plain")];
            client.send(Method::POST, server, &path, &headers, body).await.expect("an answer")
        })
    };
    let (client, server) = (node.client.clone(), node.ingress);
    let endless = tokio::spawn(async move {
        loop {
            let headers = [("content-type", "text/plain")];
            let sent =
                client.send(Method::POST, server, "/entities/evil/a/act", &headers, "loop").await;
            let answer = sent.expect("an answer");
            // The others may have been quicker.
            if answer.status != 429 {
                return answer;
            }
        }
    });
    let (mut added, mut refused) = (0, 0);
    // More callers than places come for as long as it runs.
    while !endless.is_finished() {
        let wave: Vec<_> = (0..32).map(|_| send("add", "1")).collect();
        for task in wave {
            let answer = task.await.expect("a task ends well");
            if answer.status == 200 {
                added += 1;
                continue;
            }
            refused += 1;
            problem(&answer, 429, "mailbox-full");
            assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|s| s >= 1));
        }
    }
    problem(&endless.await.expect("a task ends well"), 500, "entity-failed");
    assert!(refused >= 1, "with 4 places 32 callers can't all wait");
    assert_eq!(node.events("evil/a").await.len(), added, "what was acknowledged, and no more");
}
