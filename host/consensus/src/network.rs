//! The way from one group's leader or candidate to its other replicas.

use std::{future::Future, sync::Arc, time::Duration};

use futures::{
    Stream, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesOrdered},
};
use openraft::{
    AnyError, RaftNetworkFactory, RaftNetworkV2,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    impls::EmptyNode,
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        VoteRequest, VoteResponse,
    },
};
use stead_model::{NodeId, PartitionId};

use crate::{
    blocking::Blocking,
    carrier::{Carrier, CarrierError, Lane},
    handover::Bidden,
    machine::{Whole, WholeSnapshot},
    member::Member,
    refusing::Refusing,
    sending,
    transfers::{Ticket, Transfers},
    types::{Group, LogId, Vote},
    wire::{self, Message, Reply, Request, WireError},
};
use openraft::entry::RaftEntry;

/// The most messages with entries that are on their way to a replica.
const WINDOW: usize = 8;
/// The first waits before an unreachable replica is tried again.
const BACKOFF: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
];

/// Makes the ways of one group.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) partition: PartitionId,
    /// A node that is alone has none.
    pub(crate) carrier: Option<Arc<dyn Carrier>>,
    /// Whether this replica stands because its leader wants it to.
    pub(crate) bidden: Bidden,
    /// Whose replicas refuse what they are sent.
    pub(crate) refusing: Refusing,
    pub(crate) blocking: Blocking,
    /// The stores that this node sends.
    pub(crate) transfers: Transfers,
}

/// The way to one replica.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) network: Network,
    to: NodeId,
}

impl Network {
    /// The ways of a replica to the others of its group.
    pub(crate) fn of(
        member: &Member,
        carrier: Option<Arc<dyn Carrier>>,
        transfers: Transfers,
    ) -> Self {
        Self {
            partition: member.log.partition(),
            carrier,
            bidden: member.bidden.clone(),
            refusing: member.refusing.clone(),
            blocking: Blocking::of(&member.log),
            transfers,
        }
    }

    /// The way to a replica.
    pub(crate) fn to(&self, node: NodeId) -> Way {
        Way { network: self.clone(), to: node }
    }
}

impl RaftNetworkFactory<Group> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: NodeId, _node: &EmptyNode) -> Way {
        self.to(target)
    }
}

fn failed(error: &CarrierError) -> RPCError<Group> {
    match error {
        CarrierError::Unreachable { .. } => RPCError::Unreachable(Unreachable::new(error)),
        CarrierError::Lost { .. } => RPCError::Network(NetworkError::new(error)),
    }
}

/// The replica is there, and takes nothing.
fn refused(why: &str) -> RPCError<Group> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(why)))
}

fn garbled(error: &WireError) -> RPCError<Group> {
    RPCError::Network(NetworkError::new(error))
}

/// The range of a request's log: what is before its entries, and the last.
fn range(request: &AppendEntriesRequest<Group>) -> (Option<LogId>, Option<LogId>) {
    let before = request.prev_log_id;
    (before, request.entries.last().map(RaftEntry::log_id).or(before))
}

impl Way {
    /// Sends a request to the group's replica. It is on its way when this returns.
    pub(crate) fn ask(
        &self,
        lane: Lane,
        request: Request,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Reply, RPCError<Group>>> {
        let answer = self.carry(lane, request, patience);
        Box::pin(async move {
            match answer.await? {
                Reply::Failed(why) => Err(refused(&why)),
                reply => Ok(reply),
            }
        })
    }

    /// The same, with a refusal as it is answered.
    fn carry(
        &self,
        lane: Lane,
        request: Request,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Reply, RPCError<Group>>> {
        let Some(carrier) = &self.network.carrier else {
            let alone = AnyError::error("this node is alone");
            let error = RPCError::Unreachable(Unreachable::new(&alone));
            return Box::pin(std::future::ready(Err(error)));
        };
        let message = wire::encode(&Message::To(self.network.partition.get(), request));
        let answer = carrier.carry(self.to, lane, message, patience);
        Box::pin(async move {
            let bytes = answer.await.map_err(|error| failed(&error))?;
            wire::decode(&bytes).map_err(|error| garbled(&error))
        })
    }

    /// Begins to send a store of about so many bytes, when its turn has come.
    pub(crate) async fn begin_transfer(&self, bytes: u64) -> Ticket {
        self.network.transfers.begin(self.network.partition, self.to, bytes).await
    }

    /// The version of the protocol between nodes that the replica's node speaks.
    pub(crate) fn version(&self) -> u16 {
        self.network.carrier.as_ref().map_or(0, |carrier| carrier.version(self.to))
    }

    fn append(
        &self,
        request: &AppendEntriesRequest<Group>,
        option: &RPCOption,
    ) -> BoxFuture<'static, Result<AppendEntriesResponse<Group>, RPCError<Group>>> {
        // A heartbeat has no entries, and must not wait behind them.
        let lane = if request.entries.is_empty() { Lane::Control } else { Lane::Log };
        let answer = self.carry(lane, wire::append(request), option.soft_ttl());
        let (refusing, to) = (self.network.refusing.clone(), self.to);
        Box::pin(async move {
            let reply = answer.await?;
            let refusal = match &reply {
                Reply::Failed(why) => Some(refused(why)),
                _ => None,
            };
            refusing.note(to, refusal.is_some());
            match refusal {
                Some(refusal) => Err(refusal),
                None => wire::read_appended(reply).map_err(|error| garbled(&error)),
            }
        })
    }
}

impl RaftNetworkV2<Group> for Way {
    type SnapshotData = Whole;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Group>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Group>, RPCError<Group>> {
        self.append(&request, &option).await
    }

    /// Several messages are on their way at once; the carrier keeps their order. If it
    /// doesn't, a message finds the replica without entries that are under way still: that
    /// is no conflict for openraft, which would take entries for missing that the replica
    /// has acknowledged by the time of this answer, and might never send any again.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> openraft::base::BoxFuture<
        's,
        Result<
            openraft::base::BoxStream<'s, Result<StreamAppendResult<Group>, RPCError<Group>>>,
            RPCError<Group>,
        >,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Group>> + Send + Unpin + 'static,
    {
        let way = self.clone();
        let answers = stream::unfold(
            Some((way, input, option, FuturesOrdered::new(), false, None)),
            |state| async move {
                let (way, mut input, option, mut window, mut ended, mut acknowledged) = state?;
                loop {
                    if window.is_empty() && ended {
                        return None;
                    }
                    let room = !ended && window.len() < WINDOW;
                    tokio::select! {
                        biased;
                        next = input.next(), if room => match next {
                            Some(request) => {
                                let (before, last) = range(&request);
                                let answer = way.append(&request, &option);
                                window.push_back(async move { (answer.await, before, last) });
                            }
                            None => ended = true,
                        },
                        Some((answer, before, last)) = window.next(), if !window.is_empty() => {
                            return Some(match answer {
                                Ok(AppendEntriesResponse::Conflict) if before.is_none() => {
                                    let what = "nothing is before the first entry, and it conflicts";
                                    let error = AnyError::error(what);
                                    (Err(RPCError::Network(NetworkError::new(&error))), None)
                                }
                                Ok(AppendEntriesResponse::Conflict) if before <= acknowledged => {
                                    let what = "a message was overtaken by a later one";
                                    let error = AnyError::error(what);
                                    (Err(RPCError::Network(NetworkError::new(&error))), None)
                                }
                                Ok(response) => {
                                    let whole = match &response {
                                        AppendEntriesResponse::Success => {
                                            acknowledged = acknowledged.max(last);
                                            true
                                        }
                                        AppendEntriesResponse::PartialSuccess(through) => {
                                            acknowledged = acknowledged.max(*through);
                                            *through == last
                                        }
                                        AppendEntriesResponse::Conflict
                                        | AppendEntriesResponse::HigherVote(_) => false,
                                    };
                                    let result = response.into_stream_result(before, last);
                                    let rest = (way, input, option, window, ended, acknowledged);
                                    (Ok(result), whole.then_some(rest))
                                }
                                Err(error) => (Err(error), None),
                            });
                        }
                    }
                }
            },
        );
        let answers: BoxStream<'s, _> = Box::pin(answers);
        Box::pin(std::future::ready(Ok(answers as _)))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Group>,
        option: RPCOption,
    ) -> Result<VoteResponse<Group>, RPCError<Group>> {
        let reply = self
            .ask(
                Lane::Control,
                wire::vote(&request, self.network.bidden.holds()),
                option.soft_ttl(),
            )
            .await?;
        wire::read_voted(reply).map_err(|error| garbled(&error))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: WholeSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Group>, StreamingError<Group>> {
        sending::send(self, &vote, snapshot, cancel).await
    }

    fn backoff(&self) -> Option<Backoff> {
        let last = BACKOFF.last().copied().unwrap_or(Duration::from_millis(200));
        Some(Backoff::new(BACKOFF.into_iter().chain(std::iter::repeat(last))))
    }
}
