//! Whether every replica has what was acknowledged: the nodes' own stores, read
//! once nothing runs any more.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use stead_journal::{Journal, JournalEvents, JournalOptions, RealDisk};
use stead_model::{Address, LogIndex, LogPosition, PartitionCount, PartitionId, SequenceNumber};

/// The events of entities: the sequence number and the serial of each.
pub type Events = BTreeMap<String, Vec<(u64, String)>>;

/// How many events are read at once.
const PAGE: usize = 1_000;

/// Nothing becomes of entries that are only read.
struct Deaf;

impl JournalEvents for Deaf {
    fn applied(&self, _partition: PartitionId, _through: LogIndex) {}

    fn checkpointed(&self, _partition: PartitionId, _through: LogPosition) {}
}

/// Compares a stopped node's stores with what callers were shown. What is not the
/// same, and how many events of how many it has.
///
/// A replica may lack the last of them, if it was stopped before it was told that
/// they are committed; what it has must be the beginning of them.
pub fn compare(data: &Path, partitions: u16, shown: &Events) -> (Vec<String>, u64, u64) {
    let count = PartitionCount::new(partitions).expect("a count");
    let options = JournalOptions { partitions: count, ..JournalOptions::default() };
    let disk = RealDisk::open(&data.join("journal")).expect("its disk is there");
    let (journal, _) = match Journal::open(Arc::new(disk), options, Arc::new(Deaf)) {
        Ok(opened) => opened,
        Err(error) => return (vec![format!("{}: {error}", data.display())], 0, 0),
    };
    let (mut wrong, mut has, mut all) = (Vec::new(), 0, 0);
    for (entity, shown) in shown {
        let address: Address = entity.parse().expect("an address");
        let reader = journal.reader(count.partition_of(&address));
        let mut kept: Vec<(u64, String)> = Vec::new();
        loop {
            let from = SequenceNumber(kept.len() as u64 + 1);
            let to = SequenceNumber(u64::MAX);
            let page = match reader.events(&address, from, to, PAGE, usize::MAX) {
                Ok(page) => page,
                Err(error) => {
                    wrong.push(format!("{}: {entity}: {error}", data.display()));
                    break;
                }
            };
            if page.is_empty() {
                break;
            }
            kept.extend(page.into_iter().map(|event| {
                let body: serde_json::Value =
                    serde_json::from_slice(&event.body).unwrap_or_default();
                (event.sequence.get(), body["serial"].as_str().unwrap_or_default().to_owned())
            }));
        }
        has += kept.len() as u64;
        all += shown.len() as u64;
        if !shown.starts_with(&kept) {
            let first = kept.iter().zip(shown).find(|(kept, shown)| kept != shown);
            wrong.push(format!(
                "{}: {entity}: its replica has {} events, and callers were shown {}; the first \
                 that is another: {first:?}",
                data.display(),
                kept.len(),
                shown.len()
            ));
        }
    }
    journal.close().expect("what was read only is closed");
    (wrong, has, all)
}
