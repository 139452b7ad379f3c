//! When a group's replica stands for election.
//!
//! A group has no clock of its own. Its replica stands when, as far as this node
//! knows, nobody leads the group: its leader's node is gone, or says that it
//! doesn't lead it. The voters are asked first whether they see it so and would
//! vote; who can't win doesn't stand, and so doesn't depose anybody by a higher
//! term. Replicas stand one after the other, in an order that differs from group
//! to group, so that the survivors share what the dead node led. One that is asked and
//! has more in its log stands at once: whoever asked can't win.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use openraft::{ServerState, async_runtime::WatchReceiver};
use stead_model::{LogPosition, NodeId, PartitionId, Term};
use tokio::time::Instant;

use crate::{
    carrier::Lane,
    member::Member,
    network::Network,
    presence::Presence,
    refusing::Refusing,
    types::{LogId, Membership, StoredMembership},
    wire::{Reply, Request},
};

/// How long the next in line waits for the one before it.
const TURN: Duration = Duration::from_millis(80);
/// How long it is at least until the same replica stands again, the first time; then
/// twice as long each time, a few times. It is short at first: whoever was asked may
/// have heard a moment later that the leader is gone.
const AGAIN: Duration = Duration::from_millis(60);
const DOUBLINGS_MAX: u32 = 4;
/// Within which time a node hears of another's end that a third has heard of, and how
/// often it looks.
const HEARS_WITHIN: Duration = Duration::from_millis(40);
const HEARS_AGAIN: Duration = Duration::from_millis(5);
/// How long voters are waited for.
const ANSWER_PATIENCE: Duration = Duration::from_millis(300);

/// A group, as one replica sees it at one moment.
pub(crate) struct View {
    pub(crate) state: ServerState,
    pub(crate) term: Term,
    /// The node that this replica voted for, or that leads.
    pub(crate) voted_for: NodeId,
    /// Whether that one was elected.
    pub(crate) elected: bool,
    pub(crate) members: Arc<Membership>,
}

/// A group's members as they were seen last. Every group is looked at many times a
/// second, and its members seldom change.
#[derive(Default)]
pub(crate) struct SeenMembership(Mutex<Option<(Option<LogId>, Arc<Membership>)>>);

impl SeenMembership {
    fn of(&self, stored: &StoredMembership) -> Arc<Membership> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*seen {
            Some((at, members)) if at == stored.log_id() => Arc::clone(members),
            _ => {
                let members = Arc::new(stored.membership().clone());
                *seen = Some((*stored.log_id(), Arc::clone(&members)));
                members
            }
        }
    }
}

impl View {
    pub(crate) fn of(member: &Member) -> Self {
        let metrics = member.raft.server_metrics();
        // What is borrowed is let go at once: openraft waits for it.
        let seen = metrics.borrow_watched();
        Self {
            state: seen.state,
            term: Term(seen.vote.leader_id.term),
            voted_for: seen.vote.leader_id.voted_for,
            elected: seen.vote.committed,
            members: member.membership.of(&seen.membership_config),
        }
    }

    pub(crate) fn is_voter(&self, node: NodeId) -> bool {
        self.members.voter_ids().any(|voter| voter == node)
    }

    /// Whether enough voters are there to commit anything, as far as is known.
    pub(crate) fn has_quorum(
        &self,
        node: NodeId,
        presence: &Presence,
        refusing: &Refusing,
    ) -> bool {
        let takes = |voter: &NodeId| !presence.is_gone(*voter) && !refusing.has(*voter);
        let there = self.members.voter_ids();
        let there = there.filter(|voter| *voter == node || takes(voter)).collect();
        is_quorum(&self.members, &there)
    }

    /// Whether nobody leads, as far as is known.
    pub(crate) fn is_leaderless(
        &self,
        partition: PartitionId,
        node: NodeId,
        presence: &Presence,
        now: Instant,
    ) -> bool {
        if self.state == ServerState::Leader {
            return false;
        }
        // A leader that isn't one any more, or an election that nobody won.
        if self.voted_for == node || !self.elected {
            return true;
        }
        presence.leads_no_more(self.voted_for, partition, self.term, now)
    }
}

/// When a replica stands next.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    due: Option<Instant>,
    tries: u32,
}

impl Standing {
    /// It stands at once, if it may: it has more in its log than one that stood.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// Whether it stands at some time, if nothing changes.
    pub(crate) fn waits(&self) -> bool {
        self.due.is_some()
    }

    /// Whether it is to stand now.
    pub(crate) fn is_due(
        &mut self,
        view: &View,
        partition: PartitionId,
        node: NodeId,
        presence: &Presence,
        now: Instant,
    ) -> bool {
        // Looked at also by those who don't vote, so that a doubt stays alive: one who
        // is to vote, and hasn't heard of it, is asked for its vote too seldom for that.
        let is_leaderless = view.is_leaderless(partition, node, presence, now);
        if presence.has_resigned() || !view.is_voter(node) || !is_leaderless {
            *self = Self::default();
            return false;
        }
        let rank = rank(view, partition, node, presence);
        let due = *self.due.get_or_insert(now + TURN * rank);
        if now < due {
            return false;
        }
        self.tries = self.tries.saturating_add(1);
        // Not in step with the others, and not for ever as often.
        let wait = AGAIN * (1 << (self.tries - 1).min(DOUBLINGS_MAX));
        let spread = mix(node.get() as u64 ^ u64::from(self.tries)) % wait.as_millis() as u64;
        self.due = Some(now + wait + TURN * rank + Duration::from_millis(spread));
        true
    }
}

/// How many others of a group's voters that are there stand before this node.
fn rank(view: &View, partition: PartitionId, node: NodeId, presence: &Presence) -> u32 {
    let own = weight(partition, node);
    let others = view.members.voter_ids().filter(|other| *other != node);
    let before = others
        .filter(|other| {
            !presence.is_gone(*other) && (weight(partition, *other), *other) > (own, node)
        })
        .count();
    u32::try_from(before).unwrap_or(u32::MAX)
}

fn weight(partition: PartitionId, node: NodeId) -> u64 {
    let node = node.get();
    mix(mix(node as u64) ^ mix((node >> 64) as u64).rotate_left(1) ^ u64::from(partition.get()))
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Asks the voters whether they would vote, and stands if a quorum would.
/// `bidden`: the leader wants it. Whether it stood.
pub(crate) async fn stand(
    member: &Member,
    view: &View,
    network: &Network,
    node: NodeId,
    bidden: bool,
) -> bool {
    let last = member.log.state().last;
    tracing::debug!(partition = %member.log.partition(), %bidden, "votes are asked for");
    let mut granted = std::collections::BTreeSet::from([node]);
    let mut answers: FuturesUnordered<_> = view
        .members
        .voter_ids()
        .filter(|voter| *voter != node)
        .map(|voter| {
            let asked = Request::WouldVote { last: last.into(), bidden };
            let answer = network.to(voter).ask(Lane::Control, asked, ANSWER_PATIENCE);
            async move { (voter, answer.await) }
        })
        .collect();
    while !is_quorum(&view.members, &granted) {
        match answers.next().await {
            Some((voter, Ok(Reply::WouldVote(true)))) => {
                granted.insert(voter);
            }
            Some((_, Ok(_) | Err(_))) => {}
            None => return false,
        }
    }
    tracing::debug!(partition = %member.log.partition(), votes = granted.len(), "a replica stands");
    // Somebody may have been elected meanwhile, or be standing.
    let now = View::of(member);
    if (now.term, now.voted_for, now.elected) != (view.term, view.voted_for, view.elected) {
        return false;
    }
    // A group that has stopped doesn't stand.
    member.raft.trigger().elect(false).await.is_ok()
}

/// What a replica says to another that would stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// It would vote for it.
    Would,
    /// It wouldn't: nobody leads, and it has more in its own log.
    HasMore,
    /// It wouldn't: as far as this node knows, somebody leads.
    IsLed,
}

/// Whether this replica would vote for one whose log ends there. Who asks may have heard
/// a moment sooner that the leader is gone: then that is waited for.
pub(crate) async fn would_vote(
    member: &Member,
    last: LogPosition,
    bidden: bool,
    node: NodeId,
    presence: &Presence,
) -> Opinion {
    let until = Instant::now() + HEARS_WITHIN;
    loop {
        let now = Instant::now();
        let view = View::of(member);
        let is_leaderless = view.is_leaderless(member.log.partition(), node, presence, now);
        let has_all = last >= member.log.state().last;
        match (is_leaderless, has_all) {
            (true, true) => return Opinion::Would,
            (true, false) => return Opinion::HasMore,
            (false, true) if bidden => return Opinion::Would,
            (false, _) if bidden || view.state == ServerState::Leader || now >= until => {
                return Opinion::IsLed;
            }
            (false, _) => tokio::time::sleep(HEARS_AGAIN).await,
        }
    }
}

/// Whether nodes are a majority of every set of voters.
fn is_quorum(members: &Membership, nodes: &std::collections::BTreeSet<NodeId>) -> bool {
    members
        .get_joint_config()
        .iter()
        .all(|voters| voters.intersection(nodes).count() * 2 > voters.len())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn set(nodes: &[u128]) -> BTreeSet<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    fn view(voters: &[u128], leader: u128) -> View {
        View {
            state: ServerState::Follower,
            term: Term(3),
            voted_for: NodeId(leader),
            elected: true,
            members: Arc::new(Membership::new_with_defaults(vec![set(voters)], [])),
        }
    }

    #[test]
    fn a_quorum_is_a_majority_of_both_sets() {
        let alone = Membership::new_with_defaults(vec![set(&[1])], []);
        assert!(is_quorum(&alone, &set(&[1])));
        let joint = Membership::new_with_defaults(vec![set(&[1, 2, 3]), set(&[3, 4, 5])], []);
        assert!(is_quorum(&joint, &set(&[1, 3, 4])));
        assert!(!is_quorum(&joint, &set(&[1, 2, 4])));
        assert!(!is_quorum(&joint, &set(&[3, 4, 5])));
    }

    #[test]
    fn nobody_stands_while_there_is_a_leader() {
        let presence = Presence::default();
        let now = Instant::now();
        let partition = PartitionId(1);
        presence.heard(NodeId(1), [(partition, Term(3))].into_iter(), now);
        let mut standing = Standing::default();
        standing.hasten(now);
        assert!(!standing.is_due(&view(&[1, 2, 3], 1), partition, NodeId(2), &presence, now));
        let later = now + Duration::from_secs(3_600);
        assert!(!standing.is_due(&view(&[1, 2, 3], 1), partition, NodeId(2), &presence, later));
    }

    #[test]
    fn one_stands_at_once_when_the_leader_is_gone_and_the_next_in_its_turn() {
        let presence = Presence::default();
        presence.set(NodeId(1), false);
        let now = Instant::now();
        let mut firsts = [0; 2];
        for partition in (0..64).map(PartitionId) {
            let at_once: Vec<bool> = [2, 3]
                .map(|node| {
                    let view = view(&[1, 2, 3], 1);
                    Standing::default().is_due(&view, partition, NodeId(node), &presence, now)
                })
                .to_vec();
            assert_eq!(at_once.iter().filter(|first| **first).count(), 1, "{partition}");
            firsts[usize::from(at_once[1])] += 1;
            let second = if at_once[0] { 3 } else { 2 };
            let mut standing = Standing::default();
            let view = view(&[1, 2, 3], 1);
            assert!(!standing.is_due(&view, partition, NodeId(second), &presence, now));
            assert!(standing.is_due(&view, partition, NodeId(second), &presence, now + TURN));
            let mut hastened = Standing::default();
            assert!(!hastened.is_due(&view, partition, NodeId(second), &presence, now));
            hastened.hasten(now);
            assert!(hastened.is_due(&view, partition, NodeId(second), &presence, now));
            assert!(!hastened.is_due(&view, partition, NodeId(second), &presence, now));
        }
        assert!(firsts.iter().all(|count| *count > 20), "they share: {firsts:?}");
    }

    #[test]
    fn a_leader_has_a_quorum_while_enough_voters_are_not_gone() {
        let (presence, refusing) = (Presence::default(), Refusing::default());
        let view = view(&[1, 2, 3], 1);
        assert!(view.has_quorum(NodeId(1), &presence, &refusing), "nobody is known to be gone");
        presence.set(NodeId(2), false);
        assert!(view.has_quorum(NodeId(1), &presence, &refusing));
        presence.set(NodeId(3), false);
        assert!(!view.has_quorum(NodeId(1), &presence, &refusing));
        presence.set(NodeId(2), true);
        assert!(view.has_quorum(NodeId(1), &presence, &refusing));
        refusing.note(NodeId(2), true);
        assert!(!view.has_quorum(NodeId(1), &presence, &refusing), "there, and takes nothing");
        refusing.note(NodeId(2), false);
        assert!(view.has_quorum(NodeId(1), &presence, &refusing));
    }

    #[test]
    fn learners_and_strangers_never_stand() {
        let presence = Presence::default();
        presence.set(NodeId(1), false);
        let mut standing = Standing::default();
        let now = Instant::now();
        assert!(!standing.is_due(&view(&[1, 2, 3], 1), PartitionId(0), NodeId(9), &presence, now));
    }

    /// A leader made a learner a voter and went down before the learner heard of it.
    /// When it came back it needed that one's vote, and never got it: asked once a
    /// second, the other took each doubt for its first.
    #[test]
    fn one_who_does_not_know_that_it_votes_comes_to_doubt_a_leader_too() {
        let presence = Presence::default();
        let (mut standing, view) = (Standing::default(), view(&[1, 2], 1));
        let begin = Instant::now();
        presence.heard(NodeId(1), std::iter::empty(), begin);
        let mut now = begin;
        while now < begin + Duration::from_secs(3) {
            assert!(!standing.is_due(&view, PartitionId(0), NodeId(9), &presence, now));
            now += Duration::from_millis(40);
        }
        assert!(view.is_leaderless(PartitionId(0), NodeId(9), &presence, now));
    }

    #[test]
    fn who_does_not_win_stands_again_and_less_often() {
        let presence = Presence::default();
        presence.set(NodeId(1), false);
        let (mut standing, view) = (Standing::default(), view(&[1, 2], 1));
        let begin = Instant::now();
        let stood = (0..10_000)
            .map(|ms| begin + Duration::from_millis(ms))
            .filter(|now| standing.is_due(&view, PartitionId(0), NodeId(2), &presence, *now))
            .count();
        assert!((8..20).contains(&stood), "{stood} times in ten seconds");
    }
}
