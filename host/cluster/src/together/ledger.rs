//! What the cluster agrees on: which types are deployed, and what is decided about
//! its nodes.
//!
//! The facts are events of two addresses in the system partition: kept, replicated
//! and replayed as those of entities are, by the same journal. Every node has a
//! replica of that partition, with or without a vote, and follows what it says.
//! A change is planned and proposed where the partition is led, one at a time.

use std::sync::Arc;

use stead_consensus::{Batch, Consensus, Proposal};
use stead_journal::StoredEvent;
use stead_model::{
    Address, EntityType, Event, Item, Lifecycle, LogIndex, NodeId, OutcomeItem, PartitionId,
    RequestDigest, RequestId, SequenceNumber, TypeVersion,
};
use tokio::sync::{Mutex, MutexGuard, oneshot};

use super::roll::Decision;
use crate::{
    api::DeployError,
    catalog::{TypeFacts, decode_facts, encode_facts},
    clock,
};

/// How many facts are read at once.
const READ_MAX: usize = 1_000;
/// How many bytes of them.
const READ_BYTES_MAX: usize = 16 << 20;
/// How long a fact's request id is remembered, in milliseconds. It is never sent
/// again.
const REMEMBERED_MS: u64 = 60_000;

/// The cluster's facts on this node.
pub struct Ledger {
    consensus: Consensus,
    system: PartitionId,
    types: Address,
    nodes: Address,
    /// Held while a change is planned and made.
    changing: Mutex<()>,
}

/// A type's facts, as the cluster agreed on them.
pub struct Fact {
    /// The type.
    pub entity_type: EntityType,
    /// Its facts from then on.
    pub facts: TypeFacts,
}

fn storage(error: impl std::fmt::Display) -> DeployError {
    DeployError::Storage(error.to_string())
}

impl Ledger {
    pub fn new(consensus: Consensus, system: PartitionId) -> Arc<Self> {
        let address = |text: &str| text.parse().expect("it is an address");
        let (types, nodes) = (address("cluster/facts"), address("cluster/nodes"));
        Arc::new(Self { consensus, system, types, nodes, changing: Mutex::default() })
    }

    /// Nobody else makes a change as long as this is held.
    pub async fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The facts about types after a number, in their order, and the number of the
    /// last. Reads from the disk.
    ///
    /// # Errors
    /// If they can't be read or understood.
    pub fn after(&self, seen: SequenceNumber) -> Result<(Vec<Fact>, SequenceNumber), DeployError> {
        let (events, last) = self.events(&self.types, seen)?;
        let read = |event: &StoredEvent| {
            let entity_type: EntityType = event.name.parse().map_err(storage)?;
            let facts = decode_facts(&event.name, &event.body)
                .map_err(|why| storage(format!("fact {} of the cluster: {why}", event.sequence)))?;
            Ok(Fact { entity_type, facts })
        };
        Ok((events.iter().map(read).collect::<Result<_, DeployError>>()?, last))
    }

    /// The decisions about nodes after a number, in their order, and the number of
    /// the last. Reads from the disk.
    ///
    /// # Errors
    /// As [`Self::after`].
    pub fn decisions_after(
        &self,
        seen: SequenceNumber,
    ) -> Result<(Vec<(NodeId, Decision)>, SequenceNumber), DeployError> {
        let (events, last) = self.events(&self.nodes, seen)?;
        let read = |event: &StoredEvent| {
            Decision::read(&event.name, &event.body).map_err(|why| {
                storage(format!("decision {} about the cluster's nodes: {why}", event.sequence))
            })
        };
        Ok((events.iter().map(read).collect::<Result<_, DeployError>>()?, last))
    }

    fn events(
        &self,
        address: &Address,
        mut seen: SequenceNumber,
    ) -> Result<(Vec<StoredEvent>, SequenceNumber), DeployError> {
        let reader = self.consensus.reader(self.system);
        let last = self.last_of(address)?;
        let mut all = Vec::new();
        while seen < last {
            let events = reader
                .events(address, seen.next(), last, READ_MAX, READ_BYTES_MAX)
                .map_err(storage)?;
            let Some(through) = events.last() else {
                return Err(storage(format!("event {} of {address} is missing", seen.next())));
            };
            seen = through.sequence;
            all.extend(events);
        }
        Ok((all, seen))
    }

    /// Makes it a fact; its number. To be called where the system partition is led, with
    /// [`Self::changing`] held. It is committed and shown when this returns.
    ///
    /// # Errors
    /// If this node doesn't lead it; it may have become a fact nevertheless.
    pub async fn put(
        &self,
        entity_type: &EntityType,
        facts: &TypeFacts,
    ) -> Result<SequenceNumber, DeployError> {
        let body = encode_facts(entity_type.as_str(), facts);
        self.record(&self.types, vec![Event { name: entity_type.as_str().into(), body }]).await
    }

    /// Makes decisions about nodes facts, all or none; as [`Self::put`].
    ///
    /// # Errors
    /// As [`Self::put`].
    pub async fn decide(&self, decisions: &[(NodeId, Decision)]) -> Result<(), DeployError> {
        let events = decisions.iter().map(|(node, decision)| decision.event(*node)).collect();
        self.record(&self.nodes, events).await.map(drop)
    }

    async fn record(
        &self,
        address: &Address,
        events: Vec<Event>,
    ) -> Result<SequenceNumber, DeployError> {
        let not_here = || storage("this node doesn't lead the cluster's facts any more");
        let term = (*self.consensus.leads(self.system).borrow()).ok_or_else(not_here)?;
        let last = self.last_of(address)?;
        let made = last.plus(events.len() as u64);
        let now = clock::now();
        let request = RequestId::mint(now, rand::random());
        let item = Item::Outcome(OutcomeItem {
            address: address.clone(),
            version: TypeVersion(1),
            digest: RequestDigest(rand::random()),
            request,
            expires: now.plus_ms(REMEMBERED_MS),
            first_sequence: last.next(),
            events,
            reply: Vec::new(),
            lifecycle: Lifecycle::Continues,
            effects: Vec::new(),
        });
        let (tell, told) = oneshot::channel();
        self.consensus.propose(Proposal {
            partition: self.system,
            term,
            batch: Batch { at: now, items: vec![item] },
            done: Box::new(move |result| drop(tell.send(result))),
        });
        let index = told.await.map_err(|_| not_here())?.map_err(storage)?;
        self.shown(index).await?;
        Ok(made)
    }

    /// The number of the last fact about types that this node's store shows.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn last(&self) -> Result<SequenceNumber, DeployError> {
        self.last_of(&self.types)
    }

    fn last_of(&self, address: &Address) -> Result<SequenceNumber, DeployError> {
        let record = self.consensus.reader(self.system).entity(address).map_err(storage)?;
        Ok(record.map_or(SequenceNumber(0), |record| record.last_sequence))
    }

    async fn shown(&self, index: LogIndex) -> Result<(), DeployError> {
        let mut applied = self.consensus.applied(self.system);
        self.consensus.flush(self.system);
        applied.wait_for(|applied| *applied >= index).await.map(drop).map_err(storage)
    }
}
