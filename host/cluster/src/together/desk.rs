//! What this node does for others.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use stead_consensus::{Consensus, GroupView, MembersChange};
use stead_model::{PartitionId, Term};
use stead_peers::{Lane, PeerInfo, Reply, Service as PeerService};
use tokio::runtime::Handle;

use super::{
    Cluster, Inner,
    apart::Apart,
    wire::{self, Ask, Group, Groups, Step, Told},
};
use crate::{
    api::{CallError, CommandCall, QueryCall, Service},
    calls::unavailable,
};

/// The longest that is worked for another node at once.
const PATIENCE_MAX: Duration = Duration::from_secs(600);
/// How many bytes of a component are answered at once.
const COMPONENT_PART_BYTES: usize = 512 << 10;

/// Takes what other nodes ask.
pub struct Desk {
    consensus: Consensus,
    /// Where what they ask is worked on.
    runtime: Handle,
    cut: Apart,
    given_up: Apart,
    cluster: OnceLock<Weak<Inner>>,
}

impl Desk {
    pub fn new(consensus: Consensus, runtime: Handle, cut: Apart, given_up: Apart) -> Arc<Self> {
        Arc::new(Self { consensus, runtime, cut, given_up, cluster: OnceLock::new() })
    }

    /// From now on there is somebody to work.
    pub fn begin(&self, cluster: &Cluster) {
        // It is set once, when the node is opened.
        let _ = self.cluster.set(Arc::downgrade(&cluster.0));
    }
}

impl PeerService for Desk {
    fn serve(&self, from: &PeerInfo, lane: Lane, payload: Bytes, reply: Reply) {
        let given_up = self.given_up.has(from.node);
        if self.cut.has(from.node) || given_up && lane != Lane::Requests {
            return;
        }
        if lane != Lane::Requests {
            // Taken here, in the order of the connection. Without an answer, whoever asked
            // is told that there is none.
            return self.consensus.serve(from.node, payload, |answer| reply.answer(answer.into()));
        }
        let Some(inner) = self.cluster.get().and_then(Weak::upgrade) else { return };
        let (cluster, node) = (Cluster(inner), from.node);
        self.runtime.spawn(async move {
            let told = match wire::decode::<Ask>(&payload) {
                Ok(Ask::Welcome) => Told::Welcome(!given_up),
                Ok(_) if given_up => Told::Unknown("the asking node was given up".into()),
                Ok(ask) => cluster.answer(node, ask).await,
                Err(why) => {
                    tracing::warn!(from = %node.short(), %why, "a question was refused");
                    Told::Unknown(why)
                }
            };
            reply.answer(wire::encode(&told));
        });
    }
}

impl Cluster {
    async fn answer(&self, from: stead_model::NodeId, ask: Ask) -> Told {
        let node = self.node();
        match ask {
            Ask::Command { address, name, body, request, fresh, patience_ms } => {
                if let Err(error) = self.can_commit(&address) {
                    return Told::Command(Err(error));
                }
                let deadline = until(patience_ms);
                let (name, body) = (name.into(), body.into());
                let call = CommandCall { address, name, body, request: None, deadline };
                Told::Command(node.command_as(call, request, fresh).await)
            }
            Ask::Query { address, name, body, patience_ms } => {
                if let Err(error) = self.can_commit(&address) {
                    return Told::Query(Err(error));
                }
                let deadline = until(patience_ms);
                let call = QueryCall { address, name: name.into(), body: body.into(), deadline };
                Told::Query(node.query(call).await)
            }
            Ask::Events { address, from, to, count_max } => {
                let count_max = usize::try_from(count_max).unwrap_or(usize::MAX);
                let page = match self.leads_still(&address).await {
                    Ok(()) => node.events(address, from..=to, count_max).await,
                    Err(error) => Err(error),
                };
                Told::Events(page)
            }
            Ask::Snapshot { address } => Told::Snapshot(match self.leads_still(&address).await {
                Ok(()) => node.snapshot(address).await,
                Err(error) => Err(error),
            }),
            Ask::TakeSnapshot { address } => Told::Taken(node.take_snapshot(address).await),
            Ask::Inspect { address } => Told::Inspection(node.inspect(address).await),
            Ask::Entities { entity_type, after, count_max, partitions } => {
                let count_max = usize::try_from(count_max).unwrap_or(usize::MAX);
                let partitions = partitions.into_iter().map(PartitionId).collect();
                Told::Entities(self.entities_led(partitions, entity_type, after, count_max).await)
            }
            Ask::Deploy { component, manifest } => {
                let manifest = match manifest.read() {
                    Ok(manifest) => manifest,
                    Err(why) => return Told::Unknown(why),
                };
                Told::Deployed(self.deploy_here(Some(from), component, manifest).await)
            }
            Ask::Rollback { entity_type, version } => {
                Told::Deployed(self.rollback_here(&entity_type, version).await)
            }
            Ask::Undeploy { entity_type } => Told::Deployed(self.undeploy_here(&entity_type).await),
            Ask::Component { component, from } => {
                let node = node.clone();
                let read = move || node.component(component).ok().flatten();
                let bytes = tokio::task::spawn_blocking(read).await.ok().flatten();
                Told::Component(bytes.map(|bytes| {
                    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
                    let until = from.saturating_add(COMPONENT_PART_BYTES).min(bytes.len());
                    let part = bytes.get(from..until).unwrap_or_default();
                    (part.to_vec(), bytes.len() as u64)
                }))
            }
            Ask::Groups => Told::Groups(self.groups().await),
            Ask::Fares => Told::Fares(self.fares()),
            Ask::Step(step) => Told::Step(self.step(step).await),
            Ask::Follow { through } => Told::Followed(self.followed(through).await.is_ok()),
            Ask::Drain { node, force } => Told::Drained(self.drain_here(node, force).await),
            Ask::Stay { node } => Told::Drained(self.stay_here(node).await),
            Ask::Welcome => Told::Welcome(true),
            Ask::Plan => Told::Plan(self.plan_here()),
            Ask::KeepAway { nodes } => {
                self.keep_away_from(nodes);
                Told::KeepsAway
            }
            Ask::GiveUp { nodes } => Told::GivenUp(self.give_up_here(nodes).await),
            Ask::GoOnAlone { partition, lost, above } => {
                let partition = PartitionId(partition);
                let done = self.consensus().go_on_alone(partition, lost, Term(above)).await;
                Told::GoesOn(done.map(drop).map_err(|error| error.to_string()))
            }
            Ask::BeginAnew { partition } => {
                let begun = self.consensus().begin(PartitionId(partition), [self.id()]).await;
                Told::GoesOn(begun.map_err(|error| error.to_string()))
            }
        }
    }

    /// Whether what is asked of an entity here can come to anything: a leader that
    /// is cut off from the others takes nothing.
    fn can_commit(&self, address: &stead_model::Address) -> Result<(), CallError> {
        let partition = self.count().partition_of(address);
        if self.consensus().has_quorum(partition) {
            return Ok(());
        }
        Err(unavailable(format!("too few of partition {partition}'s nodes can be reached")))
    }

    /// The groups that this node has a part in, as it sees them.
    pub(super) async fn groups(&self) -> Groups {
        let views = self.consensus().views().await;
        let groups = self
            .count()
            .all_and_system()
            .zip(views)
            .filter(|(_, view)| !view.voters.is_empty())
            .map(|(partition, view)| self.group_of(partition, view))
            .collect();
        Groups { draining: self.roll().draining.contains(&self.id()), groups }
    }

    /// A group, as this node sees it.
    pub(super) fn group_of(&self, partition: PartitionId, view: GroupView) -> Group {
        Group {
            partition: partition.get(),
            term: view.term.get(),
            leads: *self.consensus().leads(partition).borrow() == Some(view.term),
            voters: view.voters.into_iter().collect(),
            deciding: view.deciding.into_iter().map(|of| of.into_iter().collect()).collect(),
            learners: view.learners.into_iter().collect(),
            is_changing: view.is_changing,
            last: view.last.index.get(),
            last_term: view.last.term.get(),
            committed: view.committed.get(),
            matched: view.matched.into_iter().map(|(n, index)| (n, index.get())).collect(),
        }
    }

    /// Carries out a step of placement on a group that this node leads.
    pub(super) async fn step(&self, step: Step) -> Result<(), String> {
        let (partition, change) = match step {
            Step::AddLearner { partition, node } => (partition, MembersChange::AddLearner(node)),
            Step::ChangeVoters { partition, voters } => {
                (partition, MembersChange::Voters(voters.into_iter().collect()))
            }
            Step::RemoveLearner { partition, node } => {
                (partition, MembersChange::RemoveLearner(node))
            }
            Step::TransferLeader { partition, to } => {
                self.knows_the_types(to).await?;
                return self.hand_over(PartitionId(partition), to).await;
            }
        };
        let changed = self.consensus().change(PartitionId(partition), change).await;
        changed.map_err(|error| error.to_string())
    }

    /// Whether another node could answer for what it is to lead: one that has just
    /// come takes the types over first.
    async fn knows_the_types(&self, node: stead_model::NodeId) -> Result<(), String> {
        let follow = Ask::Follow { through: stead_model::SequenceNumber(0) };
        match self.ask(node, &follow, Instant::now() + FOLLOW_PATIENCE).await {
            Ok(Told::Followed(true)) => Ok(()),
            Ok(_) | Err(_) => Err(format!("node {} does not know all types yet", node.short())),
        }
    }

    /// Hands a partition over; whether it was, after a while.
    pub(super) async fn hand_over(
        &self,
        partition: PartitionId,
        to: stead_model::NodeId,
    ) -> Result<(), String> {
        let mut leads = self.consensus().leads(partition);
        if leads.borrow().is_none() {
            return Err("this node doesn't lead it".into());
        }
        self.consensus().transfer(partition, to);
        let gone = leads.wait_for(Option::is_none);
        match tokio::time::timeout(HAND_OVER_PATIENCE, gone).await {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("node {} did not come to lead it", to.short())),
        }
    }
}

/// How long a node is waited for that is to lead and doesn't know all types yet.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(2);
/// How long it is waited for another to lead.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(2);

fn until(patience_ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(patience_ms).min(PATIENCE_MAX)
}
