//! What each failure of a call looks like to the caller.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use stead_cluster::api::CallError;
use stead_ingress::IngressOptions;
use stead_model::{EntityType, Rejection, RequestId, RequestLimits};

use crate::support::{House, Reply, Server, get, post, send};

async fn command_failing(error: CallError) -> Reply {
    let server = Server::ingress(&House::failing(error), IngressOptions::default()).await;
    let headers = [("idempotency-key", "order-7")];
    let reply = send(server.address, "POST", "/entities/cart/1/checkout", &headers, b"").await;
    assert_eq!(reply.header("stead-request-id"), Some("order-7"), "the id to retry under");
    let problem = reply.json();
    assert_eq!(problem["request-id"], "order-7");
    assert!(problem["type"].as_str().is_some_and(|t| t.starts_with("urn:stead:problem:")));
    reply
}

fn rejection(status: u16, details: Option<&[u8]>) -> CallError {
    CallError::Rejected(Rejection {
        status,
        code: "out-of-stock".into(),
        message: "there is none left".into(),
        details: details.map(Into::into),
    })
}

#[tokio::test]
async fn a_rejection_keeps_its_status_code_message_and_details() {
    let reply = command_failing(rejection(409, Some(b"{\"left\": 0}"))).await;
    let problem = reply.problem(409, "out-of-stock");
    assert_eq!(problem["type"], "urn:stead:problem:rejected");
    assert_eq!(problem["detail"], "there is none left");
    assert_eq!(problem["details"], json!({"left": 0}));
    for (status, expected) in [(400, 400), (499, 499), (422, 422), (399, 422), (500, 422), (0, 422)]
    {
        command_failing(rejection(status, None)).await.problem(expected, "out-of-stock");
    }
    // Details that are no JSON must not make the whole problem none.
    let problem = command_failing(rejection(422, Some(b"{oops"))).await.json();
    assert_eq!(problem["details-base64"], "e29vcHM=");
}

/// A node with an empty disk in the place of one that was lost told callers that no
/// type was deployed, until it had heard of them.
#[tokio::test]
async fn what_a_house_may_not_have_heard_of_yet_is_503() {
    let house = House::new();
    let server = Server::ingress(&house, IngressOptions::default()).await;
    for path in ["/entities/sensor/1/value", "/entities/cart/1/unheard-of", "/sensors/1"] {
        house.set_knows_all_types(false);
        let reply = get(server.address, path).await;
        reply.problem(503, "unavailable");
        assert_eq!(reply.header("retry-after"), Some("1"), "{path}");
        house.set_knows_all_types(true);
        assert_eq!(get(server.address, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_type_or_name_that_the_house_does_not_know_is_404() {
    let entity_type = EntityType::new("cart").expect("a type");
    let reply = command_failing(CallError::UnknownType(entity_type.clone())).await;
    assert_eq!(reply.problem(404, "unknown-type")["known"], json!(["cart"]));
    let known = vec!["add-item".to_owned()];
    let name = "checkout".to_owned();
    let reply = command_failing(CallError::UnknownName {
        entity_type,
        what: "command".into(),
        name,
        known,
    })
    .await;
    assert_eq!(reply.problem(404, "unknown-command")["known"], json!(["add-item"]));
}

#[tokio::test]
async fn a_key_used_for_another_request_is_422() {
    let key = RequestId::Caller("order-7".into());
    command_failing(CallError::KeyReused(key)).await.problem(422, "idempotency-key-reused");
}

#[tokio::test]
async fn what_passes_by_itself_says_when_to_try_again() {
    let reason = || "the node is starting".to_owned();
    let cases = [
        (CallError::MailboxFull { retry_after_ms: 20 }, 429, "mailbox-full", "1"),
        (
            CallError::Unavailable { reason: reason(), retry_after_ms: 1_001 },
            503,
            "unavailable",
            "2",
        ),
        (CallError::DiskFull { reason: reason(), retry_after_ms: 5_000 }, 507, "disk-full", "5"),
    ];
    for (error, status, code, retry_after) in cases {
        let reply = command_failing(error).await;
        let problem = reply.problem(status, code);
        assert_eq!(reply.header("retry-after"), Some(retry_after));
        assert!(problem["retry-after-ms"].is_u64());
    }
}

#[tokio::test]
async fn an_unknown_outcome_comes_with_the_id_to_retry_under() {
    let id = RequestId::Minted(0xabc);
    let error = CallError::OutcomeUnknown { request: id.clone(), reason: "too late".into() };
    let server = Server::ingress(&House::failing(error), IngressOptions::default()).await;
    let reply = send(server.address, "POST", "/entities/cart/1/checkout", &[], b"").await;
    let problem = reply.problem(504, "outcome-unknown");
    assert_eq!(reply.header("stead-request-id"), Some(id.to_string().as_str()));
    assert_eq!(problem["request-id"], id.to_string());
    assert!(problem["detail"].as_str().expect("text").contains(&id.to_string()));
}

#[tokio::test]
async fn a_deadline_that_passed_is_504() {
    command_failing(CallError::DeadlinePassed).await.problem(504, "deadline-passed");
}

#[tokio::test]
async fn a_fault_of_the_entity_is_500_with_its_incident() {
    let error = CallError::Guest { incident: "i-17".into(), reason: "it trapped".into() };
    let problem = command_failing(error).await.problem(500, "entity-failed");
    assert_eq!(problem["incident"], "i-17");
    let error = CallError::Unreadable { reason: "event 3 is of an unknown kind".into() };
    let problem = command_failing(error).await.problem(500, "entity-unreadable");
    assert!(problem["detail"].as_str().expect("text").contains("event 3"));
}

#[tokio::test]
async fn queries_fail_in_the_same_ways() {
    let server =
        Server::ingress(&House::failing(rejection(404, None)), IngressOptions::default()).await;
    let reply = get(server.address, "/entities/cart/1/total").await;
    assert_eq!(reply.problem(404, "out-of-stock")["type"], "urn:stead:problem:rejected");
    assert_eq!(reply.header("stead-request-id"), None);
}

/// The house answers within its deadlines; if it does not, callers still must not hang.
#[tokio::test]
async fn a_house_that_never_answers_is_not_waited_for() {
    let house = House::new();
    house.on_command(|_| std::future::pending());
    house.on_query(|_| std::future::pending());
    let requests = RequestLimits { deadline_ms_max: 100, ..RequestLimits::default() };
    let options = IngressOptions { requests, ..IngressOptions::default() };
    let server = Server::ingress(&house, options).await;
    let at = server.address;
    let began = std::time::Instant::now();
    let (command, query) = tokio::join!(
        post(at, "/entities/cart/1/add-item", "{}"),
        get(at, "/entities/cart/1/total"),
    );
    command.problem(504, "outcome-unknown");
    query.problem(504, "deadline-passed");
    assert!(began.elapsed() < Duration::from_secs(10));
    let headers = [("idempotency-key", "order-7")];
    let reply = send(at, "POST", "/entities/cart/1/checkout", &headers, b"").await;
    assert_eq!(reply.problem(504, "outcome-unknown")["request-id"], "order-7");
}

/// A caller that goes away does not take its neighbours' connections along.
#[tokio::test]
async fn a_panic_of_the_house_ends_one_connection_only() {
    let house = House::new();
    let healthy = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let now_healthy = Arc::clone(&healthy);
    house.on_command(move |call| {
        let healthy = now_healthy.load(std::sync::atomic::Ordering::SeqCst);
        async move {
            assert!(healthy, "a bug in the house, on purpose");
            Ok(crate::support::echo(call))
        }
    });
    let server = Server::ingress(&house, IngressOptions::default()).await;
    let mut wire = crate::support::Wire::connect(server.address).await;
    wire.send("POST /entities/cart/1/checkout HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(wire.reply().await.is_none());
    healthy.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(post(server.address, "/entities/cart/1/add-item", "{}").await.status, 200);
    assert_eq!(server.stop().await.cut_off, 0, "its place is free again");
}
