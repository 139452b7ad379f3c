//! Opening what is there: whose it is, whether it is whole, and what the stores
//! lack of the log.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use stead_model::{LogIndex, LogPosition, PartitionId};

use super::{
    RecoveryReport,
    pass::{Pass, Passed, Refused},
};
use crate::{
    JournalError,
    disk::{Disk, DiskLock},
    format::{identity, segment::SegmentHeader},
    log::{self, Recovered, Sealed, Segment, SegmentReader},
    options::{Identity, JournalOptions},
    space::Space,
    stepping::Hands,
    store::{self, Store, StoreOptions},
};

const IDENTITY: &str = "identity";
const LOCK: &str = "lock";

pub(super) struct Recovery {
    pub(super) identity: Identity,
    pub(super) lock: Box<dyn DiskLock>,
    pub(super) stores: Arc<[Arc<Store>]>,
    pub(super) recovered: Recovered,
    /// The partitions that contradict themselves.
    pub(super) refused: Refused,
    pub(super) report: RecoveryReport,
}

pub(super) type Heads = BTreeMap<PartitionId, LogPosition>;

pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    options: &JournalOptions,
    space: &Arc<Space>,
    hands: &Hands,
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
    let identity = identity_of(&**disk, options, &segments, hands, &mut report)?;
    let stores = open_stores(disk, options, &identity, space)?;
    let mut pass = Pass::new(&stores, report);
    let mut recovered = read_log(disk, options, &identity, &segments, &mut pass)?;
    let Passed { tails, refused, mut report } = pass.finish(&disk.describe(log::directory()))?;
    recovered.tails = tails;
    store::clear_received(&**disk)
        .map_err(|error| JournalError::io("clear", &disk.describe(store::directory()), &error))?;
    report.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Recovery { identity, lock, stores, recovered, refused, report })
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
    hands: &Hands,
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
                "the journal has {} partitions, and {} are configured (`node.partitions`); the \
                 count is fixed when a journal is made",
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
        cluster: random(hands)?,
        node: random(hands)?,
        partitions: options.partitions,
        created_at: hands.now(),
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

fn random(hands: &Hands) -> Result<u128, JournalError> {
    let mut bytes = [0; 16];
    let drawn = hands.random(&mut bytes);
    drawn.map_err(|error| JournalError::fatal("draw an id for", "the journal", &error))?;
    Ok(u128::from_le_bytes(bytes))
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
    let stores = options.partitions.all_and_system().map(|partition| {
        Store::open(Arc::clone(disk), partition, identity.clone(), store_options.clone())
            .map(Arc::new)
    });
    stores.collect()
}

fn read_log(
    disk: &Arc<dyn Disk>,
    options: &JournalOptions,
    identity: &Identity,
    segments: &[u64],
    pass: &mut Pass<'_>,
) -> Result<Recovered, JournalError> {
    let mut recovered =
        Recovered { segment: None, next_record: 1, tails: Vec::new(), sealed: VecDeque::new() };
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
        let heads = heads_of(header);
        if at == 0 {
            pass.begin(heads)?;
        } else if header.first_record != recovered.next_record || heads != begun(pass.heads()) {
            let before = recovered.next_record;
            let what = format!(
                "it goes on at record {first}, and the segment before ends before {before}"
            );
            return Err(JournalError::damaged(&described, "its header", what));
        }
        let scan = reader.records(last, |place, record| pass.take(&described, place, record))?;
        pass.report.segments += 1;
        recovered.next_record = scan.next_record;
        if last {
            let segment = Segment::go_on(&**disk, header, &scan, options.segment_bytes)?;
            recovered.segment = Some(segment);
        } else {
            let heads = pass.heads().iter().map(|(&p, position)| (p, position.index)).collect();
            recovered.sealed.push_back(Sealed { path, first_record: first, heads });
        }
    }
    Ok(recovered)
}

fn heads_of(header: &SegmentHeader) -> Heads {
    let position =
        |head: &crate::format::segment::Head| LogPosition { term: head.term, index: head.index };
    begun(&header.heads.iter().map(|head| (head.partition, position(head))).collect())
}

/// Those that have entries. One that has none may be named or not: a vote or a
/// truncation before the first entry leaves it so.
fn begun(heads: &Heads) -> Heads {
    heads.iter().filter(|(_, head)| head.index > LogIndex(0)).map(|(p, head)| (*p, *head)).collect()
}
