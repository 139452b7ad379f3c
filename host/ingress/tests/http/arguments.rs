//! Arguments from query strings and from the types' own routes.

use stead_ingress::IngressOptions;

use crate::support::{House, Server, get, post, send};

#[tokio::test]
async fn a_query_string_becomes_the_argument_that_the_schema_wants() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    for (query, argument) in [
        ("limit=5", r#"{"limit":5}"#),
        ("limit=5&exact=true&tags=a&tags=5", r#"{"limit":5,"exact":true,"tags":["a","5"]}"#),
        ("tags=one", r#"{"tags":["one"]}"#),
        ("other=5&name=a+b%26c", r#"{"other":"5","name":"a b&c"}"#),
        ("args=%7B%22limit%22%3A%205%7D", r#"{"limit": 5}"#),
        ("", ""),
    ] {
        let reply = get(server.address, &format!("/entities/cart/1/total?{query}")).await;
        assert!(reply.status == 200 || argument.is_empty(), "{query}: {}", reply.text());
        assert_eq!(house.queries().last().expect("a query").2, argument, "{query}");
    }
    let asked = house.queries().len();
    for query in ["limit=five", "limit=1&limit=2", "exact=yes", "a=%zz", "a=%ff", "args=%7B"] {
        let reply = get(server.address, &format!("/entities/cart/1/total?{query}")).await;
        reply.problem(400, "malformed-argument");
    }
    assert_eq!(house.queries().len(), asked);
}

#[tokio::test]
async fn a_query_may_have_a_body_instead() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let at = server.address;
    let json = [("content-type", "application/json")];
    let reply = send(at, "GET", "/entities/cart/1/total", &json, b"{\"limit\": 1}").await;
    assert_eq!((reply.status, reply.text()), (200, "{\"limit\": 1}"));
    let text = [("content-type", "text/plain")];
    let reply = send(at, "GET", "/entities/cart/1/search", &text, b"not JSON").await;
    assert_eq!((reply.status, reply.text()), (200, "not JSON"));
    let both = send(at, "GET", "/entities/cart/1/total?limit=1", &json, b"{}").await;
    both.problem(400, "malformed-argument");
    get(at, "/entities/cart/1/search?q=a").await.problem(400, "malformed-argument");
    get(at, "/entities/cart/1/picture?q=a").await.problem(400, "malformed-argument");
}

#[tokio::test]
async fn a_command_takes_no_query_string() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let reply = post(server.address, "/entities/cart/1/add-item?sku=a", "{}").await;
    reply.problem(400, "malformed-argument");
    assert!(house.commands().is_empty());
    assert_eq!(post(server.address, "/entities/cart/1/add-item?", "{}").await.status, 200);
}

#[tokio::test]
async fn own_routes_lead_to_commands_and_queries() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let at = server.address;
    let json = [("content-type", "application/json")];
    let command = async |method: &str, path: &str, body: &str| {
        let reply = send(at, method, path, &json, body.as_bytes()).await;
        assert!(matches!(reply.status, 200 | 204), "{path}: {}", reply.text());
        house.commands().pop().expect("a command")
    };
    let told = |id: &str, name: &str, body: &str| -> (String, String, String) {
        (format!("cart/{id}"), name.into(), body.into())
    };
    let found = command("POST", "/carts/7/items", r#"{"sku":  "a"}"#).await;
    assert_eq!(found, told("7", "add-item", r#"{"sku":  "a"}"#), "byte for byte");
    let found = command("PUT", "/carts/7/items/a%2Fb%22", r#"{"quantity":2.50}"#).await;
    assert_eq!(found, told("7", "add-item", r#"{"quantity":2.50,"sku":"a/b\""}"#));
    let found = command("PUT", "/carts/7/items/12", "").await;
    assert_eq!(found, told("7", "add-item", r#"{"sku":"12"}"#));
    let found = command("PATCH", "/carts/7/items/12/3", "{}").await;
    assert_eq!(found, told("7", "add-item", r#"{"sku":"12","quantity":3}"#));
    let found = command("DELETE", "/carts/a%2Fb", "").await;
    assert_eq!(found, told("a/b", "checkout", ""));
    let reply = get(at, "/carts/7/top/5?exact=false").await;
    assert_eq!(reply.text(), r#"{"limit":5,"exact":false}"#);
    assert_eq!(get(at, "/carts/7?limit=2").await.text(), r#"{"limit":2}"#);
    assert_eq!(send(at, "HEAD", "/carts/7?limit=2", &[], b"").await.status, 200);
}

#[tokio::test]
async fn what_path_and_body_disagree_on_is_refused() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let at = server.address;
    let json = [("content-type", "application/json")];
    for body in [r#"{"sku": "b"}"#, r#"["b"]"#, r#""b""#, r#"{"sku"#, "null", "\u{feff}{}"] {
        let reply = send(at, "PUT", "/carts/7/items/a", &json, body.as_bytes()).await;
        reply.problem(400, "malformed-argument");
    }
    let reply = send(at, "PATCH", "/carts/7/items/a/three", &json, b"{}").await;
    let problem = reply.problem(400, "malformed-argument");
    assert_eq!(problem["detail"], r#"quantity is "three", and must be an integer"#);
    get(at, "/carts/7/top/x").await.problem(400, "malformed-argument");
    get(at, "/carts/7/top/1?args=%7B%7D").await.problem(400, "malformed-argument");
    assert!(house.commands().is_empty() && house.queries().is_empty());
}

#[tokio::test]
async fn a_parameter_in_path_and_query_string_is_refused() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    get(server.address, "/carts/7/top/1?limit=2").await.problem(400, "malformed-argument");
}
