//! What consensus has the journal keep, in its own encoding. Golden bytes in the
//! tests hold it fixed.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{impls::EmptyNode, vote::RaftVote};
use serde::{Deserialize, Serialize};
use stead_model::NodeId;

use crate::types::{LeaderId, Membership, Vote};

/// A vote as it is kept. Only ever add kinds at the end.
#[derive(Serialize, Deserialize)]
enum StoredVote {
    V1 { term: u64, node: u128, committed: bool },
}

/// Members as they are kept. Only ever add kinds at the end.
#[derive(Serialize, Deserialize)]
enum StoredMembers {
    V1 {
        /// The voters; two sets while one takes the place of the other.
        voters: Vec<Vec<u128>>,
        learners: Vec<u128>,
    },
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("plain data always encodes")
}

/// The most bytes that are read as one of these: a thousand nodes' names.
const BYTES_MAX: usize = 64 << 10;

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    if bytes.len() > BYTES_MAX {
        return None;
    }
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        Ok(_) | Err(_) => None,
    }
}

/// Encodes a vote.
pub(crate) fn vote(vote: &Vote) -> Vec<u8> {
    let LeaderId { term, voted_for } = *vote.leader_id();
    encode(&StoredVote::V1 { term, node: voted_for.get(), committed: vote.is_committed() })
}

/// Reads a vote; `None` if it makes no sense.
pub(crate) fn read_vote(bytes: &[u8]) -> Option<Vote> {
    let StoredVote::V1 { term, node, committed } = decode(bytes)?;
    let leader = LeaderId { term, voted_for: NodeId(node) };
    Some(Vote::from_leader_id(leader, committed))
}

/// Encodes members.
pub(crate) fn members(members: &Membership) -> Vec<u8> {
    let set = |set: &BTreeSet<NodeId>| set.iter().map(|node| node.get()).collect();
    encode(&StoredMembers::V1 {
        voters: members.get_joint_config().iter().map(set).collect(),
        learners: members.learner_ids().map(NodeId::get).collect(),
    })
}

/// Reads members; `None` if they make no sense.
pub(crate) fn read_members(bytes: &[u8]) -> Option<Membership> {
    let StoredMembers::V1 { voters, learners } = decode(bytes)?;
    let voters: Vec<BTreeSet<NodeId>> =
        voters.into_iter().map(|set| set.into_iter().map(NodeId).collect()).collect();
    let learners = learners.into_iter().map(NodeId);
    let nodes: BTreeMap<NodeId, EmptyNode> =
        voters.iter().flatten().copied().chain(learners).map(|node| (node, EmptyNode {})).collect();
    Membership::new(voters, nodes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_kept_as_these_bytes() {
        let vote = Vote::new_committed(300, NodeId(0x0102));
        let bytes = super::vote(&vote);
        assert_eq!(bytes, [0, 0xac, 2, 0x82, 2, 1]);
        assert_eq!(read_vote(&bytes), Some(vote));
        assert_eq!(read_vote(&bytes[..4]), None);
        assert_eq!(read_vote(&[bytes.as_slice(), &[0]].concat()), None);
    }

    #[test]
    fn members_are_kept_as_these_bytes() {
        let sets = [[1_u128, 2], [2, 3]].map(|set| set.map(NodeId).into_iter().collect());
        let joint = Membership::new_with_defaults(
            sets.to_vec(),
            [NodeId(1), NodeId(2), NodeId(3), NodeId(9)],
        );
        let bytes = members(&joint);
        assert_eq!(bytes, [0, 2, 2, 1, 2, 2, 2, 3, 1, 9]);
        assert_eq!(read_members(&bytes), Some(joint));
        assert_eq!(read_members(&[0, 1, 0, 0]), None, "nobody votes");
        assert_eq!(read_members(&[7]), None);
    }
}
