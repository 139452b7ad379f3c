//! Batches, and the answers that wait for them.
//!
//! ```text
//!   open ──append──▶ in flight ──commit──▶ committed ──apply──▶ forgotten
//!            answers wait here │ and leave here
//! ```
//!
//! Until a batch is applied, the replies in it are kept in memory too, because
//! a retry can't find them in the store yet.

use std::collections::{HashMap, VecDeque};

use stead_model::{Address, Item, RequestDigest, RequestId, SequenceNumber};

use crate::vocabulary::{Answer, BatchNumber, Ticket};

/// A reply in a batch that is not applied yet.
#[derive(Debug, Clone)]
pub struct RecentReply {
    pub batch: BatchNumber,
    pub digest: RequestDigest,
    pub reply: Vec<u8>,
    pub sequence: SequenceNumber,
}

#[derive(Default)]
struct Batch {
    number: BatchNumber,
    answers: Vec<(Ticket, Answer)>,
    requests: Vec<(Address, RequestId)>,
}

/// The batches of one partition.
pub struct Batches {
    open: Batch,
    items: Vec<Item>,
    bytes: usize,
    /// Appended, not committed; oldest first.
    in_flight: VecDeque<Batch>,
    /// Committed, not applied; oldest first.
    unapplied: VecDeque<Batch>,
    /// Answers that wait, in all batches.
    held: usize,
    committed: BatchNumber,
    applied: BatchNumber,
    recent: HashMap<(Address, RequestId), RecentReply>,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            open: Batch { number: BatchNumber(1), ..Batch::default() },
            items: Vec::new(),
            bytes: 0,
            in_flight: VecDeque::new(),
            unapplied: VecDeque::new(),
            held: 0,
            committed: BatchNumber(0),
            applied: BatchNumber(0),
            recent: HashMap::new(),
        }
    }
}

impl Batches {
    /// The number of the batch that items are put into now.
    pub fn open_number(&self) -> BatchNumber {
        self.open.number
    }

    pub fn open_items(&self) -> usize {
        self.items.len()
    }

    pub fn open_bytes(&self) -> usize {
        self.bytes
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// How many answers wait for a commit.
    pub fn held(&self) -> usize {
        self.held
    }

    pub fn is_applied(&self, batch: BatchNumber) -> bool {
        batch <= self.applied
    }

    /// Whether everything that was appended is applied, and nothing is to be.
    pub fn is_settled(&self) -> bool {
        self.items.is_empty() && self.in_flight.is_empty() && self.open.answers.is_empty()
    }

    /// Puts an item into the open batch.
    pub fn push(&mut self, item: Item, bytes: usize) {
        self.items.push(item);
        self.bytes += bytes;
    }

    /// Keeps a reply of the open batch for retries.
    pub fn remember(
        &mut self,
        address: &Address,
        request: &RequestId,
        digest: RequestDigest,
        reply: &[u8],
        sequence: SequenceNumber,
    ) {
        let batch = self.open.number;
        let key = (address.clone(), request.clone());
        self.open.requests.push(key.clone());
        self.recent.insert(key, RecentReply { batch, digest, reply: reply.to_vec(), sequence });
    }

    /// The reply under a request id, if its batch is not applied yet.
    pub fn recent(&self, address: &Address, request: &RequestId) -> Option<&RecentReply> {
        if self.recent.is_empty() {
            return None;
        }
        self.recent.get(&(address.clone(), request.clone()))
    }

    /// How many replies are kept for retries.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.recent.len()
    }

    /// Holds an answer until a batch is committed; gives it back if it is already.
    pub fn hold(&mut self, batch: BatchNumber, ticket: Ticket, answer: Answer) -> Option<Answer> {
        if batch <= self.committed {
            return Some(answer);
        }
        let held = if batch == self.open.number {
            &mut self.open
        } else {
            let found = self.in_flight.iter_mut().find(|held| held.number == batch);
            found.expect("a batch is open, in flight or committed")
        };
        held.answers.push((ticket, answer));
        self.held += 1;
        None
    }

    /// Closes the open batch: it is to be appended. `None` if it has no items.
    pub fn close(&mut self) -> Option<(BatchNumber, Vec<Item>)> {
        if self.items.is_empty() {
            assert!(self.open.answers.is_empty(), "answers wait for a batch that says nothing");
            return None;
        }
        let number = self.open.number;
        let next = Batch { number: BatchNumber(number.0 + 1), ..Batch::default() };
        self.in_flight.push_back(std::mem::replace(&mut self.open, next));
        self.bytes = 0;
        Some((number, std::mem::take(&mut self.items)))
    }

    /// Batches up to this one are committed: the answers that may leave.
    pub fn commit(&mut self, through: BatchNumber) -> Vec<(Ticket, Answer)> {
        assert!(through < self.open.number, "a batch is committed that was never appended");
        let mut answers = Vec::new();
        while self.in_flight.front().is_some_and(|batch| batch.number <= through) {
            let Some(mut batch) = self.in_flight.pop_front() else { break };
            if answers.is_empty() {
                answers = std::mem::take(&mut batch.answers);
            } else {
                answers.append(&mut batch.answers);
            }
            self.unapplied.push_back(batch);
        }
        self.committed = self.committed.max(through);
        self.held -= answers.len();
        answers
    }

    /// The store shows batches up to this one: their replies are found there.
    pub fn apply(&mut self, through: BatchNumber) {
        assert!(through <= self.committed, "a batch is applied that is not committed");
        while self.unapplied.front().is_some_and(|batch| batch.number <= through) {
            let Some(batch) = self.unapplied.pop_front() else { break };
            for key in batch.requests {
                if self.recent.get(&key).is_some_and(|recent| recent.batch == batch.number) {
                    self.recent.remove(&key);
                }
            }
        }
        self.applied = self.applied.max(through);
    }

    /// Batches from this one on are lost, the open one with them. The answers
    /// that waited for them, and the batch before.
    pub fn fail(&mut self, from: BatchNumber) -> (Vec<(Ticket, Answer)>, BatchNumber) {
        assert!(from > self.committed, "a committed batch is lost");
        let mut answers = Vec::new();
        while self.in_flight.back().is_some_and(|batch| batch.number >= from) {
            let Some(batch) = self.in_flight.pop_back() else { break };
            self.forget(batch, &mut answers);
        }
        let next = Batch { number: BatchNumber(self.open.number.0 + 1), ..Batch::default() };
        let open = std::mem::replace(&mut self.open, next);
        self.forget(open, &mut answers);
        self.items.clear();
        self.bytes = 0;
        self.held -= answers.len();
        let before = self.in_flight.back().map_or(self.committed, |batch| batch.number);
        (answers, before)
    }

    fn forget(&mut self, batch: Batch, answers: &mut Vec<(Ticket, Answer)>) {
        for key in batch.requests {
            self.recent.remove(&key);
        }
        answers.extend(batch.answers);
    }
}
