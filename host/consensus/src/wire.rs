//! What groups say to each other. Types of their own, so that a change of the
//! program can't change what goes over the wire by accident; golden bytes in the
//! tests hold them fixed.

use std::sync::Arc;

use openraft::{
    raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse},
    vote::RaftVote,
};
use serde::{Deserialize, Serialize};
use stead_journal::{decode_entry, encode_entry};
use stead_model::{LogIndex, LogPosition, NodeId, PartitionId, Term};

use crate::types::{Group, LeaderId, LogEntry, LogId, Vote, log_id, position};

/// The most entries that are taken from one message.
const ENTRIES_MAX: usize = 65_536;

/// What can be wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message of consensus can't be read: {0}")]
pub(crate) struct WireError(String);

/// A vote, as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireVote {
    term: u64,
    node: u128,
    committed: bool,
}

/// A position; index 0 stands for "before the first entry".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WirePosition {
    term: u64,
    index: u64,
}

/// What one node says to another. Only ever add kinds at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// To a group.
    To(u16, Request),
    /// Which groups the sender leads, and in which terms: a heartbeat for all
    /// of them at once.
    Leads(Vec<(u16, u64)>),
}

/// What is asked of a group. Only ever add kinds at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Append {
        vote: WireVote,
        before: WirePosition,
        entries: Vec<WireBytes>,
        committed: WirePosition,
    },
    Vote {
        vote: WireVote,
        last: WirePosition,
        transfer: bool,
    },
    /// Whether a vote would be given, so that nobody stands in vain.
    WouldVote {
        last: WirePosition,
        bidden: bool,
    },
    /// The leader of a term, whose log ends there, bids another lead.
    Stand {
        term: u64,
        last: WirePosition,
    },
    /// A chunk of a store; the first begins it.
    StoreChunk {
        id: u64,
        nth: u64,
        rows: WireBytes,
    },
    /// All chunks of a store were sent; it is to take the place of the replica's.
    StoreEnd {
        id: u64,
        vote: WireVote,
        last: WirePosition,
        members_at: WirePosition,
        members: WireBytes,
    },
    /// How many chunks of a store were taken. Since version 2.
    StoreChunks {
        id: u64,
    },
}

/// Bytes: an entry as the journal encodes it, rows, members.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireBytes(#[serde(with = "bytes")] pub(crate) Vec<u8>);

/// What a group answers. Only ever add kinds at the end.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    Appended,
    AppendedTo(WirePosition),
    Conflict,
    HigherVote(WireVote),
    Voted {
        vote: WireVote,
        granted: bool,
        last: WirePosition,
    },
    WouldVote(bool),
    /// Whether it stood.
    Stood(bool),
    /// The message was taken; there is nothing to say.
    Heard,
    /// It could not be done.
    Failed(String),
    /// A chunk was taken.
    StoreTaken,
    /// The store is in place, or was not needed any more.
    StoreInPlace(WireVote),
    /// So many chunks were taken; none of a store that isn't known.
    StoreChunks(u64),
}

mod bytes {
    //! Bytes at once, not one by one.
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        from.deserialize_bytes(Visitor)
    }
}

pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("plain data always encodes")
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, WireError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, surplus)) => Err(WireError(format!("{} bytes too many", surplus.len()))),
        Err(error) => Err(WireError(error.to_string())),
    }
}

impl From<&Vote> for WireVote {
    fn from(vote: &Vote) -> Self {
        let LeaderId { term, voted_for } = *vote.leader_id();
        Self { term, node: voted_for.get(), committed: vote.is_committed() }
    }
}

impl From<WireVote> for Vote {
    fn from(vote: WireVote) -> Self {
        let leader = LeaderId { term: vote.term, voted_for: NodeId(vote.node) };
        Self::from_leader_id(leader, vote.committed)
    }
}

impl From<LogPosition> for WirePosition {
    fn from(position: LogPosition) -> Self {
        Self { term: position.term.get(), index: position.index.get() }
    }
}

impl From<WirePosition> for LogPosition {
    fn from(position: WirePosition) -> Self {
        Self { term: Term(position.term), index: LogIndex(position.index) }
    }
}

impl From<Option<&LogId>> for WirePosition {
    fn from(id: Option<&LogId>) -> Self {
        id.map(position).unwrap_or_default().into()
    }
}

impl From<WirePosition> for Option<LogId> {
    fn from(position: WirePosition) -> Self {
        log_id(position.into())
    }
}

pub(crate) fn append(request: &AppendEntriesRequest<Group>) -> Request {
    let entries = request.entries.iter().map(|e| WireBytes(encode_entry(&e.entry))).collect();
    Request::Append {
        vote: (&request.vote).into(),
        before: request.prev_log_id.as_ref().into(),
        entries,
        committed: request.leader_commit.as_ref().into(),
    }
}

/// Reads what is to be appended to a partition. All its entries must be that
/// partition's, and follow each other.
pub(crate) fn read_append(
    partition: PartitionId,
    vote: WireVote,
    before: WirePosition,
    entries: &[WireBytes],
    committed: WirePosition,
) -> Result<AppendEntriesRequest<Group>, WireError> {
    if entries.len() > ENTRIES_MAX {
        return Err(WireError(format!("{} entries, over {ENTRIES_MAX}", entries.len())));
    }
    let mut index = LogIndex(before.index);
    let mut read = Vec::with_capacity(entries.len());
    for bytes in entries {
        let entry = decode_entry(&bytes.0).map_err(|error| WireError(error.to_string()))?;
        if entry.partition != partition || entry.index.get() != index.get().saturating_add(1) {
            return Err(WireError(format!(
                "entry {} of partition {} after entry {index} of partition {partition}",
                entry.index, entry.partition
            )));
        }
        index = entry.index;
        read.push(LogEntry::of(Arc::new(entry)));
    }
    Ok(AppendEntriesRequest {
        vote: vote.into(),
        prev_log_id: before.into(),
        entries: read,
        leader_commit: committed.into(),
    })
}

pub(crate) fn appended(response: AppendEntriesResponse<Group>) -> Reply {
    match response {
        AppendEntriesResponse::Success => Reply::Appended,
        AppendEntriesResponse::PartialSuccess(through) => {
            Reply::AppendedTo(through.as_ref().into())
        }
        AppendEntriesResponse::Conflict => Reply::Conflict,
        AppendEntriesResponse::HigherVote(vote) => Reply::HigherVote((&vote).into()),
    }
}

pub(crate) fn read_appended(reply: Reply) -> Result<AppendEntriesResponse<Group>, WireError> {
    Ok(match reply {
        Reply::Appended => AppendEntriesResponse::Success,
        Reply::AppendedTo(through) => AppendEntriesResponse::PartialSuccess(through.into()),
        Reply::Conflict => AppendEntriesResponse::Conflict,
        Reply::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.into()),
        other => return Err(unexpected(&other)),
    })
}

pub(crate) fn vote(request: &VoteRequest<Group>, bidden: bool) -> Request {
    Request::Vote {
        vote: (&request.vote).into(),
        last: request.last_log_id.as_ref().into(),
        transfer: request.leadership_transfer || bidden,
    }
}

pub(crate) fn voted(response: &VoteResponse<Group>) -> Reply {
    Reply::Voted {
        vote: (&response.vote).into(),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().into(),
    }
}

pub(crate) fn read_voted(reply: Reply) -> Result<VoteResponse<Group>, WireError> {
    match reply {
        Reply::Voted { vote, granted, last } => {
            Ok(VoteResponse { vote: vote.into(), vote_granted: granted, last_log_id: last.into() })
        }
        other => Err(unexpected(&other)),
    }
}

pub(crate) fn unexpected(reply: &Reply) -> WireError {
    WireError(format!("this is no answer to what was asked: {reply:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_these_bytes() {
        let vote = WireVote { term: 300, node: 2, committed: true };
        let at = |term, index| WirePosition { term, index };
        let append = Request::Append {
            vote,
            before: at(1, 4),
            entries: vec![WireBytes(vec![9, 8])],
            committed: at(1, 3),
        };
        let cases: [(Message, &[u8]); 8] = [
            (Message::To(300, append), &[0, 172, 2, 0, 172, 2, 2, 1, 1, 4, 1, 2, 9, 8, 1, 3]),
            (
                Message::To(1, Request::Vote { vote, last: at(1, 4), transfer: true }),
                &[0, 1, 1, 172, 2, 2, 1, 1, 4, 1],
            ),
            (
                Message::To(1, Request::WouldVote { last: at(1, 4), bidden: true }),
                &[0, 1, 2, 1, 4, 1],
            ),
            (Message::To(1, Request::Stand { term: 7, last: at(1, 4) }), &[0, 1, 3, 7, 1, 4]),
            (Message::Leads(vec![(1, 2)]), &[1, 1, 1, 2]),
            (
                Message::To(1, Request::StoreChunk { id: 5, nth: 6, rows: WireBytes(vec![9]) }),
                &[0, 1, 4, 5, 6, 1, 9],
            ),
            (
                Message::To(
                    1,
                    Request::StoreEnd {
                        id: 5,
                        vote,
                        last: at(1, 4),
                        members_at: at(1, 1),
                        members: WireBytes(vec![7]),
                    },
                ),
                &[0, 1, 5, 5, 172, 2, 2, 1, 1, 4, 1, 1, 1, 7],
            ),
            (Message::To(1, Request::StoreChunks { id: 300 }), &[0, 1, 6, 172, 2]),
        ];
        for (message, bytes) in cases {
            assert_eq!(encode(&message), bytes, "{message:?}");
            let read: Message = decode(bytes).expect("a message");
            assert_eq!(format!("{read:?}"), format!("{message:?}"));
        }
        let replies: [(Reply, &[u8]); 12] = [
            (Reply::Appended, &[0]),
            (Reply::AppendedTo(at(1, 4)), &[1, 1, 4]),
            (Reply::Conflict, &[2]),
            (Reply::HigherVote(vote), &[3, 172, 2, 2, 1]),
            (Reply::Voted { vote, granted: true, last: at(1, 4) }, &[4, 172, 2, 2, 1, 1, 1, 4]),
            (Reply::WouldVote(true), &[5, 1]),
            (Reply::Stood(true), &[6, 1]),
            (Reply::Heard, &[7]),
            (Reply::Failed("no".into()), &[8, 2, b'n', b'o']),
            (Reply::StoreTaken, &[9]),
            (Reply::StoreInPlace(vote), &[10, 172, 2, 2, 1]),
            (Reply::StoreChunks(300), &[11, 172, 2]),
        ];
        for (reply, bytes) in replies {
            assert_eq!(encode(&reply), bytes, "{reply:?}");
            assert_eq!(decode::<Reply>(bytes).expect("a reply"), reply);
        }
    }

    #[test]
    fn garbage_is_told() {
        assert!(decode::<Message>(&[]).is_err());
        assert!(decode::<Message>(&[9, 9]).is_err());
        assert!(decode::<Message>(&[1, 1, 1, 2, 0]).is_err());
        // A length that isn't there takes no memory.
        assert!(decode::<Message>(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
        let stray = [WireBytes(vec![1, 2, 3])];
        let at = WirePosition { term: 0, index: 0 };
        let vote = WireVote { term: 1, node: 1, committed: true };
        assert!(read_append(PartitionId(0), vote, at, &stray, at).is_err());
    }
}
