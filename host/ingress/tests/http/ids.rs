//! Entities' ids in paths.

use stead_ingress::IngressOptions;

use crate::support::{House, Server, get};

#[track_caller]
fn last_id(house: &House) -> String {
    let queries = house.queries();
    let (address, _, _) = queries.last().expect("a query");
    address.strip_prefix("cart/").expect("a cart").to_owned()
}

#[tokio::test]
async fn any_text_is_an_id_once_it_is_encoded() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let longest = "x".repeat(512);
    for (encoded, id) in [
        ("42", "42"),
        ("a%2Fb", "a/b"),
        ("a%2fb%2F", "a/b/"),
        ("%2F", "/"),
        ("%2e%2e", ".."),
        ("..", ".."),
        (".", "."),
        ("a+b", "a+b"),
        ("a%20b", "a b"),
        ("100%25", "100%"),
        ("%25zz", "%zz"),
        ("%3Fq%3D1%23", "?q=1#"),
        ("a;b=c,d@e:f&g$h", "a;b=c,d@e:f&g$h"),
        ("%C3%A9%20%E6%BC%A2%2F%F0%9F%9B%92", "é 漢/🛒"),
        ("é", "é"),
        ("%7Bid%7D", "{id}"),
        (&longest, &longest),
    ] {
        for path in [format!("/entities/cart/{encoded}/total"), format!("/carts/{encoded}")] {
            let reply = get(server.address, &path).await;
            assert_eq!(reply.status, 204, "{path}: {}", reply.text());
            assert_eq!(last_id(&house), id, "{path}");
        }
    }
    let _ = get(server.address, "/entities/c%61rt/1/tot%61l").await;
    assert_eq!(last_id(&house), "1", "types and names may be encoded too");
}

#[tokio::test]
async fn what_cannot_be_an_id_is_refused_before_the_house() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let too_long = "x".repeat(513);
    let ten_thousand = "x".repeat(10_000);
    let encoded = "%C3%A9".repeat(257);
    let enormous = "x".repeat(20_000);
    for (encoded, status, code) in [
        ("", 400, "malformed-id"),
        (too_long.as_str(), 414, "uri-too-long"),
        (&ten_thousand, 414, "uri-too-long"),
        (&encoded, 414, "uri-too-long"),
        (&enormous, 414, "uri-too-long"),
        ("a%0Ab", 400, "malformed-id"),
        ("%00", 400, "malformed-id"),
        ("%C2%85", 400, "malformed-id"),
        ("%ff", 400, "malformed-path"),
        ("%c3", 400, "malformed-path"),
        ("%ed%a0%80", 400, "malformed-path"),
        ("%c0%af", 400, "malformed-path"),
        ("a%", 400, "malformed-path"),
        ("%zz", 400, "malformed-path"),
        ("%u0041", 400, "malformed-path"),
    ] {
        let reply = get(server.address, &format!("/entities/cart/{encoded}/total")).await;
        reply.problem(status, code);
    }
    get(server.address, &format!("/carts/{too_long}/top/1")).await.problem(414, "uri-too-long");
    get(server.address, "/carts/%ff/top/1").await.problem(400, "malformed-path");
    get(server.address, "/carts//top/1").await.problem(404, "unknown-route");
    assert!(house.queries().is_empty());
}
