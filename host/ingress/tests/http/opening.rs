//! Before there is a house.

use std::time::Duration;

use serde_json::json;
use stead_ingress::{AdminOptions, IngressOptions, listen, serve_admin, serve_ingress};
use tokio::sync::oneshot;

use crate::support::{House, get, post};

#[tokio::test]
async fn who_comes_before_the_node_is_open_is_told_to_come_again() {
    let house = House::new();
    let (ingress, admin) = (
        listen(([127, 0, 0, 1], 0).into()).expect("a port"),
        listen(([127, 0, 0, 1], 0).into()).expect("a port"),
    );
    let at = ingress.local_addr().expect("an address");
    let at_admin = admin.local_addr().expect("an address");
    let (open, opened) = oneshot::channel();
    let (open_admin, opened_admin) = oneshot::channel();
    let house_of = |opened: oneshot::Receiver<House>| async { opened.await.expect("a house") };
    let never = std::future::pending::<()>;
    let options = IngressOptions::default();
    let on_ingress = tokio::spawn(serve_ingress(ingress, house_of(opened), options, never()));
    let options = AdminOptions::default();
    let on_admin = tokio::spawn(serve_admin(admin, house_of(opened_admin), options, never()));

    for reply in [
        post(at, "/entities/cart/1/add-item", r#"{"sku": "a"}"#).await,
        get(at, "/nowhere").await,
        get(at_admin, "/types").await,
        get(at_admin, "/status").await,
    ] {
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.json()["code"], "unavailable");
    }
    assert_eq!(house.commands(), []);
    // It lives, and is not ready: whoever restarts it would only begin again.
    let alive = get(at_admin, "/healthz").await;
    assert_eq!((alive.status, alive.json()), (200, json!({"alive": true})));
    let ready = get(at_admin, "/readyz").await;
    assert_eq!((ready.status, ready.json()["ready"].clone()), (503, json!(false)));

    assert!(open.send(house.clone()).is_ok() && open_admin.send(house.clone()).is_ok());
    let served = async {
        while post(at, "/entities/cart/1/add-item", r#"{"sku": "a"}"#).await.status != 200
            || get(at_admin, "/readyz").await.status != 200
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), served).await.expect("it is served soon");
    on_ingress.abort();
    on_admin.abort();
}
