//! Deployments over the admin API.

use serde_json::json;
use stead_ingress::{AdminOptions, IngressOptions};

use crate::support::{House, Server, Wire, get, post, send};

async fn start() -> (House, Server) {
    let house = House::new();
    let options = AdminOptions {
        component_bytes_max: 1 << 20,
        json_bytes_max: 10_000,
        ..AdminOptions::default()
    };
    let server = Server::admin(&house, options).await;
    (house, server)
}

fn hash(byte: &str) -> String {
    byte.repeat(32)
}

async fn put(server: &Server, name: &str, body: &serde_json::Value) -> crate::support::Reply {
    let (path, body) = (format!("/types/{name}"), body.to_string());
    send(server.address, "PUT", &path, &[], body.as_bytes()).await
}

#[tokio::test]
async fn a_component_is_taken_in() {
    let (_, server) = start().await;
    let at = server.address;
    let wasm = vec![7; 1 << 20];
    let reply = send(at, "POST", "/components", &[], &wasm).await;
    assert_eq!(reply.status, 201);
    let info = reply.json();
    assert_eq!((&info["component"], &info["bytes"]), (&json!(hash("07")), &json!(1 << 20)));
    assert!(info["description"]["commands"].is_array());
    let reply = send(at, "POST", "/components", &[], b"garbage").await;
    assert_eq!(reply.problem(422, "component-refused")["detail"], "it is no WebAssembly");
    send(at, "POST", "/components", &[], b"").await.problem(400, "malformed-body");
    let too_large = vec![7; (1 << 20) + 1];
    let reply = send(at, "POST", "/components", &[], &too_large).await;
    reply.problem(413, "body-too-large");
    let mut wire = Wire::connect(at).await;
    wire.send("POST /components HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
    for _ in 0..20 {
        wire.try_send(&chunk).await;
    }
    wire.reply().await.expect("an answer").problem(413, "body-too-large");
}

#[tokio::test]
async fn a_type_is_deployed_and_shown() {
    let (house, server) = start().await;
    let at = server.address;
    let route = json!([{"method": "POST", "path": "/baskets/{id}", "command": "add-item"}]);
    let manifest = json!({"isolation": "entity", "route": route});
    let body = json!({"component": hash("07"), "manifest": manifest});
    let reply = put(&server, "basket", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let deployed = reply.json();
    assert_eq!(deployed["manifest"]["type"], "basket", "it is taken from the path");
    assert_eq!(deployed["manifest"]["isolation"], "entity");
    assert_eq!(get(at, "/types/basket").await.json(), deployed);
    let types = get(at, "/types").await.json();
    assert_eq!(types["types"].as_array().map(Vec::len), Some(2));
    let ingress = Server::ingress(&house, IngressOptions::default()).await;
    assert_eq!(post(ingress.address, "/baskets/1", "{}").await.status, 200);
    let problem = get(at, "/types/nothing").await.problem(404, "unknown-type");
    assert_eq!(problem["known"], json!(["cart", "basket"]));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_reason() {
    let (house, server) = start().await;
    let with = |manifest: serde_json::Value| json!({"component": hash("07"), "manifest": manifest});
    let route = |path: &str| json!({"method": "POST", "path": path, "command": "add-item"});
    for (body, status, code, says) in [
        (json!({"component": hash("08"), "manifest": {}}), 404, "unknown-component", "upload it"),
        (json!({"component": "07", "manifest": {}}), 400, "malformed-body", "hexadecimal"),
        (json!({"component": hash("07")}), 400, "malformed-body", "manifest"),
        (json!({"component": hash("07"), "manifest": [], "x": 1}), 400, "malformed-body", ""),
        (with(json!({"type": "cart"})), 422, "manifest-refused", "for basket"),
        (with(json!({"isolation": "total"})), 422, "manifest-refused", "total"),
        (with(json!({"colour": "red"})), 422, "manifest-refused", "colour"),
        (with(json!({"route": [route("/a/{id")]})), 422, "manifest-refused", "/a/{id"),
        (
            with(json!({"route": [route("/a/{id}"), route("/a/{id}")]})),
            422,
            "manifest-refused",
            "/a/{id}",
        ),
        (with(json!({"route": [route("/taken/{id}")]})), 409, "route-taken", "owner"),
    ] {
        let reply = put(&server, "basket", &body).await;
        let problem = reply.problem(status, code);
        assert!(problem["detail"].as_str().expect("text").contains(says), "{problem}");
    }
    put(&server, "Basket", &with(json!({}))).await.problem(400, "malformed-type");
    let large = with(json!({"type": "x".repeat(10_000)}));
    put(&server, "basket", &large).await.problem(413, "body-too-large");
    let reply = send(server.address, "PUT", "/types/basket", &[], b"{\"component\": ").await;
    assert_eq!(reply.problem(400, "malformed-body")["line"], 1);
    assert_eq!(stead_cluster::api::Service::types(&house).len(), 1, "nothing was deployed");
}

#[tokio::test]
async fn versions_are_listed_and_put_back() {
    let (_, server) = start().await;
    let at = server.address;
    let versions = get(at, "/types/cart/versions").await.json();
    assert_eq!(versions["versions"][1]["current"], true);
    get(at, "/types/basket/versions").await.problem(404, "unknown-type");
    let rollback = "/types/cart/rollback";
    assert_eq!(post(at, rollback, "{\"version\": 1}").await.json()["version"], 1);
    let problem = post(at, rollback, "{\"version\": 9}").await.problem(404, "unknown-version");
    assert_eq!(problem["known"], json!([1, 2]));
    for body in ["", "{}", "{\"version\": -1}", "{\"version\": 1, \"x\": 2}"] {
        post(at, rollback, body).await.problem(400, "malformed-body");
    }
}

#[tokio::test]
async fn a_type_is_taken_out_of_service() {
    let (_, server) = start().await;
    let delete = async |name: &str| {
        send(server.address, "DELETE", &format!("/types/{name}"), &[], b"").await
    };
    assert_eq!(delete("cart").await.status, 204);
    delete("basket").await.problem(404, "unknown-type");
    let stopping = delete("stopping").await;
    stopping.problem(503, "unavailable");
    assert_eq!(stopping.header("retry-after"), Some("1"));
}
