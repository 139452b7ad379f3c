//! Who holds a group, and changes of that.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{
    ChangeMembers, ServerState, StorageHelper, async_runtime::WatchReceiver, impls::EmptyNode,
    storage::RaftStateMachine,
};
use stead_journal::PartitionLog;
use stead_model::{LogIndex, LogPosition, NodeId, PartitionId, Term};

use crate::{
    MembersError,
    log::GroupLog,
    machine::Machine,
    member::Member,
    types::{Membership, StoredMembership, log_index},
};

/// A change of a group's members. Each is taken only by the group's leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembersChange {
    /// A node receives all that is committed, and has no vote.
    AddLearner(NodeId),
    /// These vote from now on. Each must be a member; who voted and isn't among
    /// them is no member any more.
    Voters(BTreeSet<NodeId>),
    /// A node that has no vote is no member any more.
    RemoveLearner(NodeId),
}

/// A group, as one of its nodes sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupView {
    /// The term.
    pub term: Term,
    /// Who leads it, if that is known.
    pub leader: Option<NodeId>,
    /// The nodes that vote; in a change from some to others, those of both.
    pub voters: BTreeSet<NodeId>,
    /// The sets of them of each of which a majority decides: in a change there are two.
    pub deciding: Vec<BTreeSet<NodeId>>,
    /// Whether such a change is under way.
    pub is_changing: bool,
    /// The members without a vote.
    pub learners: BTreeSet<NodeId>,
    /// The entry that says who they are.
    pub members_at: LogIndex,
    /// The last entry of this node's log.
    pub last: LogPosition,
    /// How far it is committed, as far as this node knows.
    pub committed: LogIndex,
    /// How far each other's log has come that takes anything; known to the leader alone.
    pub matched: BTreeMap<NodeId, LogIndex>,
}

impl GroupView {
    /// A group that this node can take no part in, by what it has of it. Its members are
    /// the last that its log names, as for a group that is started: the store may lack
    /// what the log has.
    pub(crate) async fn unstarted(log: PartitionLog) -> Self {
        let state = log.state();
        let (mut entries, mut store) = (GroupLog(log.clone(), None), Machine(log));
        let read = StorageHelper::new(&mut entries, &mut store).get_membership().await;
        let members = match read {
            Ok(members) => {
                let members = members.effective();
                StoredMembership::new(*members.log_id(), members.membership().clone())
            }
            Err(error) => {
                let partition = store.0.partition();
                tracing::error!(%partition, %error, "the log of a stopped partition can't be read");
                store.applied_state().await.map(|(_, members)| members).unwrap_or_default()
            }
        };
        Self {
            term: state.last.term,
            last: state.last,
            committed: state.committed,
            members_at: members.log_id().as_ref().map_or(LogIndex(0), |id| log_index(id.index)),
            ..Self::with(members.membership())
        }
    }

    /// Who leads is not known, as it has stopped here.
    pub(crate) fn stopped(self) -> Self {
        Self { leader: None, matched: BTreeMap::new(), ..self }
    }

    fn with(members: &Membership) -> Self {
        Self {
            voters: members.voter_ids().collect(),
            deciding: members.get_joint_config().clone(),
            is_changing: is_changing(members),
            learners: members.learner_ids().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn of(member: &Member) -> Self {
        let state = member.log.state();
        let metrics = member.raft.metrics();
        let seen = metrics.borrow_watched();
        let members = seen.membership_config.membership();
        let takes =
            seen.replication.iter().flatten().filter(|(node, _)| !member.refusing.has(**node));
        let matched = takes.map(|(node, matched)| {
            (*node, matched.as_ref().map_or(LogIndex(0), |id| log_index(id.index)))
        });
        Self {
            term: Term(seen.vote.leader_id.term),
            leader: seen.current_leader,
            members_at: (seen.membership_config.log_id().as_ref())
                .map_or(LogIndex(0), |id| log_index(id.index)),
            last: state.last,
            committed: state.committed,
            matched: if seen.state == ServerState::Leader {
                matched.collect()
            } else {
                BTreeMap::new()
            },
            ..Self::with(members)
        }
    }
}

fn is_changing(members: &Membership) -> bool {
    members.get_joint_config().len() > 1
}

/// Makes a change; it is committed when this returns.
pub(crate) async fn change(
    member: &Member,
    partition: PartitionId,
    change: MembersChange,
) -> Result<(), MembersError> {
    let changed = match change {
        MembersChange::AddLearner(node) => {
            member.raft.add_learner(node, EmptyNode {}, false).await.map(drop)
        }
        MembersChange::Voters(voters) => {
            let change = ChangeMembers::ReplaceAllVoters(voters);
            member.raft.change_membership(change, false).await.map(drop)
        }
        MembersChange::RemoveLearner(node) => {
            let change = ChangeMembers::RemoveNodes(BTreeSet::from([node]));
            member.raft.change_membership(change, false).await.map(drop)
        }
    };
    changed.map_err(|error| MembersError { partition, why: error.to_string() })
}
