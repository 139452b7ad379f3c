//! Entities' histories: in pages, or followed as they grow.

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, stream};
use http::{StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use stead_cluster::api::{CallError, Service, StoredEvent};
use stead_model::{Address, SequenceNumber};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Admin, Shared,
    parts::{AddressInPath, Answer, Parameters},
};
use crate::{
    entity::{essence, is_json},
    json::ObjectWriter,
    problem::Problem,
    server::Phase,
};

/// How many events a page has unless asked for fewer or more.
const PAGE_DEFAULT: usize = 100;
/// The most events that a page has.
const PAGE_MAX: usize = 1_000;
/// How many events a follower gets in one piece.
const FOLLOW_BATCH: usize = 100;

/// Which part of a history.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    from: Option<u64>,
    to: Option<u64>,
    limit: Option<usize>,
    #[serde(default)]
    follow: bool,
}

/// `GET /entities/{type}/{id}/events`.
pub async fn list<S: Service>(
    State(admin): State<Admin<S>>,
    AddressInPath(address): AddressInPath,
    Parameters(part): Parameters<Part>,
) -> Answer<Response> {
    let from = part.from.unwrap_or(1).max(1);
    let to = part.to.unwrap_or(u64::MAX);
    if part.follow {
        if part.to.is_some() || part.limit.is_some() {
            return Err(Problem::bad_request(
                "malformed-argument",
                "whoever follows gets all that comes: leave out `to` and `limit`",
            ));
        }
        return follow(admin, address, from).await;
    }
    let limit = part.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX);
    let page = admin.service.events(address.clone(), from..=to, limit).await;
    let page = page.map_err(|error| admin.call_failed(error))?;
    let kinds = JsonKinds::of(&admin, &address);
    let mut events = vec![b'['];
    for (at, event) in page.events.iter().enumerate() {
        if at > 0 {
            events.push(b',');
        }
        events.extend(kinds.write(event));
    }
    events.push(b']');
    let mut object = ObjectWriter::new();
    object
        .field("address", &address.to_string())
        .field("last-sequence", &page.last_sequence)
        .field("first-stored", &page.first_stored)
        .field("life-begins-after", &page.life_begins_after)
        .raw("events", &events);
    Ok(([(CONTENT_TYPE, "application/json")], object.finish()).into_response())
}

/// Which kinds of events are JSON, by the type's present description. A kind
/// that is not described any more is taken for JSON if it reads as such.
struct JsonKinds {
    others: HashSet<String>,
}

impl JsonKinds {
    fn of<S: Service>(admin: &Shared<S>, address: &Address) -> Self {
        let types = admin.service.types();
        let deployed = types.iter().find(|t| t.manifest.entity_type == address.entity_type);
        let kinds = deployed.iter().flat_map(|deployed| &deployed.description.events);
        let others = kinds.filter(|kind| !is_json(&essence(&kind.content_type)));
        Self { others: others.map(|kind| kind.name.clone()).collect() }
    }

    fn write(&self, event: &StoredEvent) -> Vec<u8> {
        let mut object = ObjectWriter::new();
        object
            .field("sequence", &event.sequence)
            .field("name", &event.name)
            .field("at", &event.at)
            .field("version", &event.version)
            .bytes("body", &event.body, !self.others.contains(&event.name));
        object.finish()
    }
}

/// Events as they come, a line each, until the client goes or the server stops.
/// An empty line says that nothing happened; a line with a `problem` is the last.
async fn follow<S: Service>(admin: Admin<S>, address: Address, from: u64) -> Answer<Response> {
    let place = Arc::clone(&admin.followers).try_acquire_owned().map_err(|_| {
        let detail = format!("{} clients follow events already", admin.options.followers_max);
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-followers", detail)
            .retry_after_ms(1_000)
    })?;
    // The first page is read before the answer begins, so that what is wrong
    // with the request is a status and not a line.
    let first = read(&admin, &address, from).await.map_err(|error| admin.call_failed(error))?;
    let follower = Follower { admin, address, next: from, batch: Some(first), _place: place };
    let body = Body::from_stream(lines(follower));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

struct Follower<S> {
    admin: Admin<S>,
    address: Address,
    /// The number of the next event to send.
    next: u64,
    /// What has been read ahead.
    batch: Option<Vec<StoredEvent>>,
    _place: OwnedSemaphorePermit,
}

async fn read<S: Service>(
    admin: &Shared<S>,
    address: &Address,
    from: u64,
) -> Result<Vec<StoredEvent>, CallError> {
    let page = admin.service.events(address.clone(), from..=u64::MAX, FOLLOW_BATCH).await?;
    Ok(page.events)
}

fn lines<S: Service>(
    follower: Follower<S>,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
    stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next_piece().await {
            Some(Ok(piece)) => Some((Ok(Bytes::from(piece)), Some(follower))),
            Some(Err(error)) => {
                let problem = follower.admin.call_failed(error);
                let mut object = ObjectWriter::new();
                object.raw("problem", &problem.to_json());
                let mut line = object.finish();
                line.push(b'\n');
                Some((Ok(Bytes::from(line)), None))
            }
            None => None,
        }
    })
}

impl<S: Service> Follower<S> {
    /// The next lines; `None` once the server stops.
    async fn next_piece(&mut self) -> Option<Result<Vec<u8>, CallError>> {
        let mut phase = self.admin.phase.clone();
        let heartbeat = Duration::from_millis(self.admin.options.heartbeat_ms.max(1));
        let quiet_until = tokio::time::Instant::now() + heartbeat;
        loop {
            let batch = match self.batch.take() {
                Some(batch) => batch,
                None => match read(&self.admin, &self.address, self.next).await {
                    Ok(batch) => batch,
                    Err(error) => return Some(Err(error)),
                },
            };
            if let Some(last) = batch.last() {
                self.next = last.sequence.next().get();
                let kinds = JsonKinds::of(&self.admin, &self.address);
                let lines = batch.iter().flat_map(|event| {
                    let mut line = kinds.write(event);
                    line.push(b'\n');
                    line
                });
                return Some(Ok(lines.collect()));
            }
            let after = SequenceNumber(self.next.saturating_sub(1));
            tokio::select! {
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => return None,
                () = self.admin.service.events_after(self.address.clone(), after) => {}
                () = tokio::time::sleep_until(quiet_until) => return Some(Ok(b"\n".to_vec())),
            }
        }
    }
}
