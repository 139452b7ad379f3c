//! Each sample, built both ways, in a real node.

use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::{Value, json};
use stead_test_support::{Build, root, sample};
use stead_tests::node::Node;

use crate::support::{BUILDS, House, done, names, problem, says, sequences};

async fn deploy(node: &Node, name: &str, build: Build) {
    let manifest = root().join("samples").join(name).join("entity.toml");
    let deployed = node.deploy_with_file(&sample(name, build), &manifest).await;
    assert_eq!(deployed["manifest"]["type"], name);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cart_built_either_way_shops() {
    let house = House::new();
    let node = house.node(&[]).await;
    for (turn, build) in BUILDS.into_iter().enumerate() {
        deploy(&node, "cart", build).await;
        shop(&node, &format!("cart-{turn}")).await;
    }
    let listed = node.admin_ask("/types/cart/entities").await;
    assert_eq!(listed["entities"], json!(["cart-0", "cart-1"]));
    let page = node.admin_ask("/types/cart/entities?limit=1").await;
    assert_eq!(page, json!({"entities": ["cart-0"], "next": "cart-0"}));
    let page = node.admin_ask("/types/cart/entities?limit=1&after=cart-0").await;
    assert_eq!(page, json!({"entities": ["cart-1"], "next": null}));
    described(&node).await;
}

async fn shop(node: &Node, id: &str) {
    let items = format!("/carts/{id}/items");
    let reply = node.post(&items, &json!({"sku": "tea", "quantity": 2, "unit_price": 350})).await;
    assert_eq!(reply.header("stead-sequence"), "1");
    assert!(!reply.header("stead-request-id").is_empty());
    assert_eq!(done(&reply)["total"], 700);
    // The default of the quantity is the entity's.
    let address = format!("cart/{id}");
    let reply = node.call(&address, "add-item", &json!({"sku": "cup", "unit_price": 1200})).await;
    assert_eq!(done(&reply)["lines"]["cup"]["quantity"], 1);

    let answer = node.request(Method::DELETE, &format!("{items}/pot"), &[], "").await;
    says(&problem(&answer, 404, "unknown-item"), "There is no \"pot\" in the cart.");
    let body = json!({"sku": "cup", "quantity": 999, "unit_price": 1});
    let refused =
        problem(&node.call(&address, "add-item", &body).await, 422, "quantity-out-of-range");
    assert_eq!(refused["type"], "urn:stead:problem:rejected");
    let answer = node.request(Method::DELETE, &format!("{items}/cup"), &[], "").await;
    assert_eq!(done(&answer)["lines"], json!({"tea": {"quantity": 2, "unit_price": 350}}));

    let answer = node.request(Method::POST, &format!("/carts/{id}/check-out"), &[], "").await;
    assert_eq!(done(&answer)["checked_out"], true);
    let again = node.request(Method::POST, &format!("/carts/{id}/check-out"), &[], "").await;
    problem(&again, 409, "already-checked-out");
    let contents = node.ask(&format!("/carts/{id}")).await;
    assert_eq!(contents["total"], 700);
    assert_eq!(contents, node.ask(&format!("/entities/cart/{id}/contents")).await);

    let events = node.events(&address).await;
    assert_eq!(sequences(&events), [1, 2, 3, 4]);
    assert_eq!(names(&events), ["item-added", "item-added", "item-removed", "checked-out"]);
    assert_eq!(events[0]["body"], json!({"sku": "tea", "quantity": 2, "unit_price": 350}));
    let page = node.admin_ask(&format!("/entities/{address}/events?from=2&to=3")).await;
    assert_eq!(page["last-sequence"], 4);
    assert_eq!(sequences(page["events"].as_array().expect("events")), [2, 3]);
}

/// What the component says of itself reaches whoever asks for the type.
async fn described(node: &Node) {
    let types = node.admin_ask("/types").await;
    assert_eq!(types["types"].as_array().map(Vec::len), Some(1));
    let cart = node.admin_ask("/types/cart").await;
    assert_eq!(cart, types["types"][0]);
    let description = &cart["description"];
    let names_of = |what: &str| -> Vec<String> {
        let list = description[what].as_array().expect("a list");
        list.iter().map(|one| one["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(names_of("commands"), ["add-item", "remove-item", "check-out", "discard"]);
    assert_eq!(names_of("queries"), ["contents"]);
    assert_eq!(names_of("events"), ["item-added", "item-removed", "checked-out"]);
    assert!(cart["component-bytes"].as_u64().is_some_and(|bytes| bytes > 10_000));
    assert!(
        description["commands"][0].to_string().contains("unit_price"),
        "the schema names the fields: {}",
        description["commands"][0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_built_either_way_is_never_overdrawn() {
    let house = House::new();
    let node = house.node(&[]).await;
    for (turn, build) in BUILDS.into_iter().enumerate() {
        deploy(&node, "account", build).await;
        bank(&node, &format!("a{turn}")).await;
    }
}

async fn bank(node: &Node, id: &str) {
    let path = format!("/accounts/{id}");
    done(&node.post(&format!("{path}/deposits"), &json!({"amount": 10_000})).await);
    let hold = json!({"amount": 2_500, "hold": "order-1"});
    let placed = done(&node.post(&format!("{path}/holds"), &hold).await);
    assert_eq!(placed["hold"], "order-1");
    let balance = json!({"balance": 10_000, "held": 2_500, "available": 7_500});
    assert_eq!(node.ask(&path).await, balance);

    let answer = node.post(&format!("{path}/withdrawals"), &json!({"amount": 7_501})).await;
    problem(&answer, answer.status.as_u16(), "insufficient-funds");
    assert!(answer.status.is_client_error());
    let twice = node.post(&format!("{path}/holds"), &hold).await;
    problem(&twice, twice.status.as_u16(), "hold-exists");
    let capture = format!("{path}/holds/order-1/capture");
    problem(&node.post(&capture, &json!({"amount": 2_501})).await, 409, "exceeds-hold");
    assert_eq!(done(&node.post(&capture, &json!({"amount": 2_400})).await)["balance"], 7_600);

    // A hold that the caller doesn't name gets a random name, which is in the event.
    let placed = done(&node.post(&format!("{path}/holds"), &json!({"amount": 100})).await);
    let name = placed["hold"].as_str().expect("a name").to_owned();
    assert_eq!(name.len(), 36, "{name} is a UUID");
    let events = node.events(&format!("account/{id}")).await;
    assert_eq!(events.last().expect("an event")["body"]["hold"], name);
    let released = node.request(Method::DELETE, &format!("{path}/holds/{name}"), &[], "").await;
    assert_eq!(done(&released)["held"], 0);
    let conflict = format!("{path}/holds/other/capture");
    problem(&node.post(&conflict, &json!({"hold": "order-1"})).await, 400, "malformed-argument");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sensor_built_either_way_takes_batches() {
    let house = House::new();
    let node = house.node(&[]).await;
    for (turn, build) in BUILDS.into_iter().enumerate() {
        deploy(&node, "sensor", build).await;
        measure(&node, &format!("s{turn}")).await;
    }
}

async fn measure(node: &Node, id: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let begin = now - 3_600_000;
    let configured =
        node.call(&format!("sensor/{id}"), "configure", &json!({"alarm_above": 80})).await;
    assert_eq!(configured.status, 204, "a command without a reply: {}", configured.text());
    let path = format!("/sensors/{id}/readings");
    for batch in 0..10 {
        let readings: Vec<Value> =
            (0..100).map(|n| json!({"at_ms": begin + batch * 60_000 + n, "value": 50.5})).collect();
        let reported = done(&node.post(&path, &json!({"readings": readings})).await);
        assert_eq!(reported, json!({"count": (batch + 1) * 100, "alarmed": false}));
    }
    let hot = json!({"readings": [{"at_ms": begin + 600_000, "value": 81.25}]});
    assert_eq!(done(&node.post(&path, &hot).await)["alarmed"], true);
    let future = json!({"readings": [{"at_ms": now + 3_600_000, "value": 1}]});
    problem(&node.post(&path, &future).await, 422, "from-the-future");
    problem(&node.post(&path, &json!({"readings": []})).await, 422, "batch-out-of-range");

    let summary = node.ask(&format!("/sensors/{id}")).await;
    assert_eq!(summary["ever"]["count"], 1_001);
    assert_eq!(summary["ever"]["max"], 81.25);
    // A query's parameter is a number, as the schema says.
    let minutes = node.ask(&format!("/sensors/{id}/minutes?last=2")).await;
    assert_eq!(minutes.as_array().map(Vec::len), Some(2), "{minutes}");
    problem(&node.get(&format!("/sensors/{id}/minutes?last=two")).await, 400, "malformed-argument");

    let events = node.events(&format!("sensor/{id}")).await;
    let last_two = names(&events).split_off(11);
    assert_eq!(last_two, ["readings-reported", "alarm-raised"], "one command, two events");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_can_be_looked_into() {
    let house = House::new();
    let node = house.node(&[]).await;
    deploy(&node, "cart", Build::CargoTarget).await;
    let add = json!({"sku": "tea", "quantity": 1, "unit_price": 350});
    for _ in 0..3 {
        done(&node.call("cart/7", "add-item", &add).await);
    }

    let before = node.admin_ask("/entities/cart/7").await;
    assert_eq!(before["address"], "cart/7");
    assert_eq!((before["live"].clone(), before["last-sequence"].clone()), (json!(true), json!(3)));
    assert_eq!(before["snapshot-sequence"], Value::Null);
    assert_eq!(node.admin_get("/entities/cart/7/snapshot").await.status, 404);

    let taken =
        done(&node.admin_send(Method::POST, "/entities/cart/7/snapshot", &Value::Null).await);
    assert_eq!(taken["sequence"], 3);
    assert_eq!(taken["state"]["lines"]["tea"]["quantity"], 3);
    let shown = node.admin_ask("/entities/cart/7/snapshot").await;
    assert_eq!(shown["state"], taken["state"]);
    assert_eq!(node.admin_ask("/entities/cart/7").await["snapshot-sequence"], 3);

    let unknown = node.admin_ask("/entities/cart/never").await;
    assert_eq!(
        (unknown["live"].clone(), unknown["last-sequence"].clone()),
        (json!(false), json!(0))
    );

    let status = node.admin_ask("/status").await;
    assert_eq!((status["ready"].clone(), status["problems"].clone()), (json!(true), json!([])));
    assert_eq!((status["commands"].clone(), status["events"].clone()), (json!(3), json!(3)));
    assert_eq!((status["partitions"].clone(), status["types"].clone()), (json!(64), json!(1)));
    assert!(status["log-commits"].as_u64().is_some_and(|count| count >= 3), "{status}");
    assert_eq!(status["snapshots"], 1);
    assert_eq!(node.admin_get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_as_they_happen() {
    let house = House::new();
    let node = house.node(&[]).await;
    deploy(&node, "cart", Build::CargoTarget).await;
    let add = json!({"sku": "tea", "quantity": 1, "unit_price": 350});
    done(&node.call("cart/1", "add-item", &add).await);
    let mut stream = crate::support::follow(&node, "cart/1", 1).await;
    assert_eq!(stream.next().await["sequence"], 1);
    for expected in 2..=20 {
        done(&node.call("cart/1", "add-item", &add).await);
        let event = stream.next().await;
        assert_eq!(event["sequence"], expected);
        assert_eq!(event["name"], "item-added");
    }
}
