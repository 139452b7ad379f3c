//! A request on its way through the engine.

use std::sync::Arc;

use stead_model::{Address, RequestId, TimestampMs};

use crate::vocabulary::{Body, Command, Query, Ticket};

/// A request, without its address: it waits in the entity's own mailbox.
#[derive(Debug, Clone)]
pub struct Work {
    pub ticket: Ticket,
    pub deadline: TimestampMs,
    pub kind: WorkKind,
}

/// What is wanted.
#[derive(Debug, Clone)]
pub enum WorkKind {
    Command { name: Arc<str>, body: Body, request: RequestId, fresh: bool },
    Query { name: Arc<str>, body: Body },
    Snapshot,
}

impl Work {
    pub fn command(command: Command) -> (Address, Self) {
        let Command { ticket, address, name, body, request, fresh, deadline } = command;
        (address, Self { ticket, deadline, kind: WorkKind::Command { name, body, request, fresh } })
    }

    pub fn query(query: Query) -> (Address, Self) {
        let Query { ticket, address, name, body, deadline } = query;
        (address, Self { ticket, deadline, kind: WorkKind::Query { name, body } })
    }

    pub fn snapshot(ticket: Ticket) -> Self {
        Self { ticket, deadline: TimestampMs(u64::MAX), kind: WorkKind::Snapshot }
    }
}
