//! The engine's port to the store, with the journal behind it.

use stead_journal::StoreReader;
use stead_model::{Address, Event, RequestId, SequenceNumber};
use stead_partition::ports::{
    EntityRecord, RecordedReply, StoreFault, StoreReader as Port, StoredSnapshot,
};

/// A partition's store.
pub struct Reader(pub StoreReader);

fn fault(error: impl std::fmt::Display) -> StoreFault {
    StoreFault(error.to_string())
}

impl Port for Reader {
    fn entity(&self, address: &Address) -> Result<Option<EntityRecord>, StoreFault> {
        let record = self.0.entity(address).map_err(fault)?;
        Ok(record.map(|record| EntityRecord {
            last_sequence: record.last_sequence,
            life_begins_after: record.life_begins_after,
            first_stored: record.first_stored,
        }))
    }

    fn snapshot(
        &self,
        address: &Address,
        at_most: SequenceNumber,
    ) -> Result<Option<StoredSnapshot>, StoreFault> {
        let snapshot = self.0.snapshot(address, at_most).map_err(fault)?;
        Ok(snapshot.map(|snapshot| StoredSnapshot {
            sequence: snapshot.sequence,
            version: snapshot.version,
            state: snapshot.state,
        }))
    }

    fn events(
        &self,
        address: &Address,
        from: SequenceNumber,
        to: SequenceNumber,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Event>, StoreFault> {
        self.0.replay(address, from, to, count_max, bytes_max).map_err(fault)
    }

    fn reply(
        &self,
        address: &Address,
        request: &RequestId,
    ) -> Result<Option<RecordedReply>, StoreFault> {
        let reply = self.0.reply(address, request).map_err(fault)?;
        Ok(reply.map(|reply| RecordedReply {
            digest: reply.digest,
            reply: reply.reply,
            sequence: reply.sequence,
            expires: reply.expires,
        }))
    }
}
