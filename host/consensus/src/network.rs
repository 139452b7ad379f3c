//! The way to the other replicas of a group. A node that is alone has none.

use std::future::Future;

use openraft::{
    AnyError, RaftNetworkFactory, RaftNetworkV2,
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    impls::EmptyNode,
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
    },
    storage::Snapshot,
};
use stead_model::NodeId;

use crate::{
    machine::Checkpoint,
    types::{Committed, Group, Vote},
};

/// The network of a node that is alone.
#[derive(Clone, Copy)]
pub(crate) struct Nobody;

impl RaftNetworkFactory<Group> for Nobody {
    type Network = Self;

    async fn new_client(&mut self, _target: NodeId, _node: &EmptyNode) -> Self {
        Self
    }
}

fn alone() -> Unreachable<Group> {
    Unreachable::new(&AnyError::error("this node is alone"))
}

impl RaftNetworkV2<Group> for Nobody {
    type SnapshotData = Checkpoint;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Group>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Group>, RPCError<Group>> {
        Err(RPCError::Unreachable(alone()))
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<Group>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Group>, RPCError<Group>> {
        Err(RPCError::Unreachable(alone()))
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: Snapshot<Committed, NodeId, EmptyNode, Checkpoint>,
        _cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Group>, StreamingError<Group>> {
        Err(StreamingError::Unreachable(alone()))
    }
}
