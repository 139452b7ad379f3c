//! Components and manifests that can't be served: each is refused with words
//! that help, and the node goes on.

use http::Method;
use serde_json::{Value, json};

use crate::support::{House, SMALL, marked, problem, says};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_component_of_ours_is_refused_with_the_reason() {
    let house = House::new();
    let settings = [
        SMALL,
        ("STEAD_ADMIN_COMPONENT_SIZE_MAX", "2MiB"),
        ("STEAD_GUESTS_CALL_TIMEOUT", "500ms"),
        ("STEAD_GUESTS_REPLAY_TIMEOUT", "500ms"),
    ];
    let node = house.node(&settings).await;
    node.deploy(&stead_test_support::guest("ledger"), &json!({"type": "ledger"})).await;

    let core = [b"\0asm".as_slice(), &[1, 0, 0, 0]].concat();
    let empty_component = [b"\0asm".as_slice(), &[13, 0, 1, 0]].concat();
    let ledger = std::fs::read(stead_test_support::guest("ledger")).expect("it is built");
    // A component, of another world.
    let program = std::fs::read(stead_test_support::guest("program")).expect("it is built");
    let mut other_version = ledger.clone();
    replace(&mut other_version, b"stead:entity/guest@0.", b"stead:entity/guest@9.");
    replace(&mut other_version, b"stead:entity/types@0.", b"stead:entity/types@9.");
    replace(&mut other_version, b"stead:entity/host@0.", b"stead:entity/host@9.");
    let cases: [(&str, Vec<u8>, &[&str]); 7] = [
        ("garbage", b"this is a text and not a component".to_vec(), &["WebAssembly"]),
        ("nothing", Vec::new(), &[]),
        ("a core module", core, &["module", "component"]),
        ("an empty component", empty_component, &["stead:entity"]),
        ("a command line program", program, &["stead:entity"]),
        ("cut short", ledger[..ledger.len() / 2].to_vec(), &[]),
        ("of another version", other_version, &["stead:entity", "@0."]),
    ];
    for (what, bytes, words) in cases {
        let answer = node.upload(bytes).await;
        assert!(answer.status.is_client_error(), "{what}: {} {}", answer.status, answer.text());
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        let refused = problem(&answer, answer.status.as_u16(), &code);
        for word in words {
            says(&refused, word);
        }
    }
    let head = "POST /components HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3145728\r\n\r\n";
    let answer = crate::support::raw(node.admin, &[head, &"x".repeat(3 << 20)]).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("2097152"), "{answer}");

    for mode in
        ["loop", "bomb", "panic", "trap", "bad-name", "twice", "both", "many", "huge", "effect"]
    {
        let answer = node.upload(marked("evil", "evil-mode:", 14, mode)).await;
        assert!(answer.status.is_client_error(), "{mode}: {} {}", answer.status, answer.text());
        assert!(!answer.json()["detail"].as_str().unwrap_or_default().is_empty(), "{mode}");
    }
    let body = json!({"serial": "still here"});
    assert_eq!(node.call("ledger/a", "record", &body).await.status, 200);
    let types = node.admin_ask("/types").await;
    assert_eq!(types["types"].as_array().map(Vec::len), Some(1));
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes.get(*at..at + from.len()) == Some(from)).collect();
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_does_not_fit_is_refused_and_changes_nothing() {
    let house = House::new();
    let node = house.node(&[SMALL]).await;
    let route =
        |path: &str, command: &str| json!([{"method": "POST", "path": path, "command": command}]);
    let good = json!({"type": "ledger", "route": route("/ledgers/{id}", "record")});
    let deployed = node.deploy(&stead_test_support::guest("ledger"), &good).await;
    let component = &deployed["component"];
    let put = async |name: &str, manifest: Value| {
        let body = json!({"component": component, "manifest": manifest});
        node.admin_send(Method::PUT, &format!("/types/{name}"), &body).await
    };
    let refused = put("ledger", json!({"route": route("/ledgers/{id}", "recrod")})).await;
    says(&problem(&refused, 422, "manifest-refused"), "recrod");
    let refused = put("ledger", json!({"route": route("/ledgers", "record")})).await;
    says(&problem(&refused, 422, "manifest-refused"), "{id}");
    let refused = put("book", json!({"route": route("/ledgers/{id}", "record")})).await;
    assert_eq!(problem(&refused, 409, "route-taken")["owner"], "ledger");
    let refused = put("book", json!({"type": "ledger"})).await;
    assert!(refused.status.is_client_error(), "{}", refused.text());
    let refused = put("ledger", json!({"snapshto": {}})).await;
    assert!(refused.status.is_client_error(), "{}", refused.text());
    assert!(refused.text().contains("snapshto"), "{}", refused.text());
    let refused = put("Bad_Name", json!({})).await;
    assert!(refused.status.is_client_error(), "{}", refused.text());

    let body = json!({"component": "0".repeat(64), "manifest": {}});
    let unknown = node.admin_send(Method::PUT, "/types/ledger", &body).await;
    problem(&unknown, 404, "unknown-component");
    assert_eq!(node.admin_ask("/types/ledger").await, deployed);
    let answer = node.post("/ledgers/a", &json!({"serial": "x"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
