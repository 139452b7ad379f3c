//! Opening what is there: whose it is, whether it is whole, and what the stores
//! lack of the log.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use stead_model::{Entry, LogIndex, PartitionId, Term, TimestampMs};

use super::{RecoveryReport, weight};
use crate::{
    JournalError,
    disk::{Disk, DiskLock},
    format::identity,
    log::{self, Recovered, Sealed, Segment, SegmentReader},
    options::{Identity, JournalOptions},
    space::Space,
    store::{self, Store, StoreOptions},
};

const IDENTITY: &str = "identity";
const LOCK: &str = "lock";
/// Bytes of entries that are gathered before they are applied.
const GATHERED_MAX: usize = 8 << 20;

pub(super) struct Recovery {
    pub(super) identity: Identity,
    pub(super) lock: Box<dyn DiskLock>,
    pub(super) stores: Arc<[Arc<Store>]>,
    pub(super) recovered: Recovered,
    pub(super) heads: BTreeMap<PartitionId, LogIndex>,
    pub(super) report: RecoveryReport,
}

type Heads = BTreeMap<PartitionId, (Term, LogIndex)>;

pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    options: &JournalOptions,
    space: &Arc<Space>,
) -> Result<Recovery, JournalError> {
    let began = Instant::now();
    let mut report = RecoveryReport::default();
    for directory in [log::directory(), store::directory()] {
        disk.make_dir(directory)
            .map_err(|error| JournalError::io("make", &disk.describe(directory), &error))?;
    }
    let lock = match disk.lock(LOCK) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            return Err(JournalError::Foreign {
                file: disk.describe(LOCK),
                what: "another process has this journal open".into(),
            });
        }
        Err(error) => return Err(JournalError::io("lock", &disk.describe(LOCK), &error)),
    };
    // A process that was killed may have left names that the disk doesn't have
    // yet. What is built on them must not outlive them.
    for directory in ["", log::directory(), store::directory()] {
        disk.sync_dir(directory)
            .map_err(|error| JournalError::io("sync", &disk.describe(directory), &error))?;
    }
    let segments = segments(&**disk)?;
    let identity = identity_of(&**disk, options, &segments, &mut report)?;
    let stores = open_stores(disk, options, &identity, space)?;
    let mut pass = Pass { stores: &stores, gathered: BTreeMap::new(), bytes: 0, report };
    let (recovered, heads) = read_log(disk, options, &identity, &segments, &mut pass)?;
    pass.apply()?;
    report = pass.report;
    check_stores(&**disk, &stores, &heads)?;
    report.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let heads = heads.into_iter().map(|(partition, (_, index))| (partition, index)).collect();
    Ok(Recovery { identity, lock, stores, recovered, heads, report })
}

/// The log's segments by their first records, oldest first.
fn segments(disk: &dyn Disk) -> Result<Vec<u64>, JournalError> {
    let names = disk
        .list(log::directory())
        .map_err(|error| JournalError::fatal("list", &disk.describe(log::directory()), &error))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| log::number_of(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn identity_of(
    disk: &dyn Disk,
    options: &JournalOptions,
    segments: &[u64],
    report: &mut RecoveryReport,
) -> Result<Identity, JournalError> {
    let file = disk.describe(IDENTITY);
    let io = |error: std::io::Error| JournalError::io("use", &file, &error);
    let foreign = |what: String| JournalError::Foreign { file: file.clone(), what };
    let bytes = match disk.open(IDENTITY) {
        Ok(opened) => {
            let length = usize::try_from(opened.len().map_err(io)?).unwrap_or(usize::MAX);
            let mut bytes = vec![0; length.min(4_096)];
            opened.read(0, &mut bytes).map_err(io)?;
            Some(bytes)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(io(error)),
    };
    if let Some(bytes) = bytes {
        let identity = identity::decode(&bytes)
            .map_err(|flaw| JournalError::damaged(&file, "the whole file", flaw.to_string()))?;
        if identity.partitions != options.partitions {
            return Err(foreign(format!(
                "the journal has {} partitions, and {} are configured; the count is fixed when a \
                 journal is made",
                identity.partitions.get(),
                options.partitions.get()
            )));
        }
        return Ok(identity);
    }
    let stores = disk.list(store::directory()).unwrap_or_default();
    if !segments.is_empty() || !stores.is_empty() {
        return Err(foreign("it is missing, though there are a log and stores".into()));
    }
    let identity = Identity {
        cluster: random()?,
        node: random()?,
        partitions: options.partitions,
        created_at: now(),
    };
    let temporary = format!("{IDENTITY}.new");
    let made = disk.create(&temporary).and_then(|created| {
        created.write(0, &identity::encode(&identity))?;
        created.sync()?;
        disk.rename(&temporary, IDENTITY)?;
        disk.sync_dir("")
    });
    made.map_err(io)?;
    report.created = true;
    Ok(identity)
}

fn random() -> Result<u128, JournalError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        JournalError::fatal("draw an id for", "the journal", &std::io::Error::other(error))
    })?;
    Ok(u128::from_le_bytes(bytes))
}

fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn open_stores(
    disk: &Arc<dyn Disk>,
    options: &JournalOptions,
    identity: &Identity,
    space: &Arc<Space>,
) -> Result<Arc<[Arc<Store>]>, JournalError> {
    let store_options = StoreOptions {
        cache_bytes: (options.cache_bytes / usize::from(options.partitions.get())).max(256 << 10),
        verify: options.verify,
        space: Arc::clone(space),
    };
    let stores = options.partitions.all().map(|partition| {
        Store::open(Arc::clone(disk), partition, identity.clone(), store_options.clone())
            .map(Arc::new)
    });
    stores.collect()
}

/// One pass over the log, which applies what the stores lack.
struct Pass<'a> {
    stores: &'a [Arc<Store>],
    gathered: BTreeMap<PartitionId, Vec<Entry>>,
    bytes: usize,
    report: RecoveryReport,
}

impl Pass<'_> {
    fn take(&mut self, entry: Entry) -> Result<(), JournalError> {
        self.report.entries_read += 1;
        let store = self.stores.get(usize::from(entry.partition.get()));
        let Some(store) = store else { return Err(no_partition(&entry)) };
        if entry.index <= store.progress().index {
            return Ok(());
        }
        self.report.entries_applied += 1;
        self.bytes += weight(&entry);
        self.gathered.entry(entry.partition).or_default().push(entry);
        if self.bytes >= GATHERED_MAX { self.apply() } else { Ok(()) }
    }

    fn apply(&mut self) -> Result<(), JournalError> {
        self.bytes = 0;
        for (partition, entries) in std::mem::take(&mut self.gathered) {
            if let Some(store) = self.stores.get(usize::from(partition.get())) {
                store.apply(&entries)?;
            }
        }
        Ok(())
    }
}

fn no_partition(entry: &Entry) -> JournalError {
    JournalError::Inconsistent {
        partition: entry.partition,
        index: entry.index,
        what: "there is no such partition".into(),
    }
}

fn read_log(
    disk: &Arc<dyn Disk>,
    options: &JournalOptions,
    identity: &Identity,
    segments: &[u64],
    pass: &mut Pass<'_>,
) -> Result<(Recovered, Heads), JournalError> {
    let mut heads = Heads::new();
    let mut sealed = VecDeque::new();
    let mut next_record = 1;
    let mut segment = None;
    for (at, &first) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        let path = log::path_of(first);
        let described = disk.describe(&path);
        let Some(reader) = SegmentReader::open(&**disk, &path)? else {
            if !last {
                return Err(JournalError::damaged(&described, "byte 0", "it has no header"));
            }
            // A crash came while it was made; nothing was ever written to it.
            disk.remove(&path)
                .and_then(|()| disk.sync_dir(log::directory()))
                .map_err(|error| JournalError::io("remove", &described, &error))?;
            break;
        };
        let header = reader.header();
        if header.node != identity.node || header.first_record != first {
            let what = "it is a segment of another log".into();
            return Err(JournalError::Foreign { file: described, what });
        }
        let header_heads: Heads =
            header.heads.iter().map(|head| (head.partition, (head.term, head.index))).collect();
        if at == 0 {
            check_begin(pass.stores, &header_heads)?;
            heads = header_heads;
        } else if header.first_record != next_record || header_heads != heads {
            let what = format!(
                "it goes on at record {first}, and the segment before ends before {next_record}"
            );
            return Err(JournalError::damaged(&described, "its header", what));
        }
        let scan = reader.entries(last, |entry| {
            let head = heads.entry(entry.partition).or_default();
            if entry.index != head.1.next() || entry.term < head.0 {
                let place = format!("entry {} of partition {}", entry.index, entry.partition);
                let what = format!("entry {} is the one before it", head.1);
                return Err(JournalError::damaged(&described, place, what));
            }
            *head = (entry.term, entry.index);
            pass.take(entry)
        })?;
        pass.report.segments += 1;
        next_record = scan.next_record;
        if last {
            segment = Some(Segment::go_on(&**disk, header, &scan, options.segment_bytes)?);
        } else {
            let heads = heads.iter().map(|(&p, &(_, index))| (p, index)).collect();
            sealed.push_back(Sealed { path, heads });
        }
    }
    let recovered = Recovered { segment, next_record, heads: heads.clone(), sealed };
    Ok((recovered, heads))
}

/// No store may lack what the log doesn't have any more.
fn check_begin(stores: &[Arc<Store>], heads: &Heads) -> Result<(), JournalError> {
    for (partition, &(_, head)) in heads {
        let Some(store) = stores.get(usize::from(partition.get())) else { continue };
        let index = store.progress().index;
        if index < head {
            return Err(JournalError::damaged(
                store.described(),
                "its state",
                format!("it is at entry {index}, and the log begins after entry {head}"),
            ));
        }
    }
    Ok(())
}

/// Every store must be where the log is: what it lacked has been applied.
fn check_stores(disk: &dyn Disk, stores: &[Arc<Store>], heads: &Heads) -> Result<(), JournalError> {
    for store in stores {
        let head = heads.get(&store.partition).copied().unwrap_or_default();
        let progress = store.progress();
        if progress.index != head.1 {
            return Err(JournalError::damaged(
                &disk.describe(log::directory()),
                format!("partition {}", store.partition),
                format!(
                    "the log ends at entry {}, and the store is at entry {}: a segment or a store \
                     is missing",
                    head.1, progress.index
                ),
            ));
        }
    }
    Ok(())
}
