//! The thread that writes the log: everything that waits becomes one group, one
//! write and one sync.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use stead_model::{LogIndex, LogPosition, PartitionId};

use super::{
    Applies, Place, Run, Sealed, Segment, Tail, lock,
    queue::{Commits, Queue, Shared, What, Work},
    segment,
};
use crate::{
    JournalError,
    disk::Disk,
    format::{
        record,
        segment::{Head, RECORD_PREFIX_BYTES, SegmentHeader},
    },
    options::{Identity, JournalOptions},
    stepping::Step,
};

/// The most bytes of records in one group, but for a last piece of work that
/// goes over.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// The most pieces of work in one group.
const GROUP_WORKS_MAX: usize = 4_096;
/// After so long without a group, a mark is written.
const IDLE: Duration = Duration::from_millis(100);
/// How often it is tried again whether there is room.
const RETRY: Duration = Duration::from_millis(20);

/// What recovery hands over to the writer.
pub(crate) struct Recovered {
    /// The segment to go on with, if there is one with room.
    pub(crate) segment: Option<Segment>,
    pub(crate) next_record: u64,
    /// Each partition's log.
    pub(crate) tails: Vec<Tail>,
    /// Segments before it, oldest first.
    pub(crate) sealed: VecDeque<Sealed>,
}

/// What must be known at the beginning of every segment, because those before it
/// may be gone.
#[derive(Default)]
struct Standing {
    heads: BTreeMap<PartitionId, LogPosition>,
    votes: BTreeMap<PartitionId, Arc<[u8]>>,
    commits: Commits,
}

pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    identity: Identity,
    segment_bytes: u64,
    log_bytes_max: u64,
    segment: Option<Segment>,
    next_record: u64,
    standing: Standing,
    buffer: Vec<u8>,
    marked: bool,
    /// What a step found no room for.
    stuck: Option<Group>,
    shared: Arc<Shared>,
    applies: Arc<dyn Applies>,
}

/// What the writer found when it looked.
enum Next {
    Group(Group),
    Idle,
    Closing,
}

/// What is written at once.
struct Group {
    works: Vec<Work>,
    records: Vec<Vec<u8>>,
    commits: Commits,
}

impl Group {
    /// The first of what waits, up to a bound.
    fn take(queue: &mut Queue) -> Self {
        let mut bytes = 0;
        let mut count = 0;
        for work in &queue.works {
            if count >= GROUP_WORKS_MAX || bytes >= GROUP_BYTES_MAX {
                break;
            }
            bytes += bytes_of(&work.records);
            count += 1;
        }
        let mut works: Vec<Work> = queue.works.drain(..count).collect();
        let commits = queue.take_commits();
        let mut records: Vec<Vec<u8>> =
            works.iter_mut().flat_map(|work| std::mem::take(&mut work.records)).collect();
        records.extend(commits_record(&commits));
        Self { works, records, commits }
    }
}

impl Writer {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        identity: Identity,
        options: &JournalOptions,
        (segment, next_record): (Option<Segment>, u64),
        shared: Arc<Shared>,
        applies: Arc<dyn Applies>,
    ) -> Self {
        let mut standing = Standing::default();
        for (partition, tail) in options.partitions.all_and_system().zip(shared.tails()) {
            if tail.last.index > LogIndex(0) {
                standing.heads.insert(partition, tail.last);
            }
            if let Some(vote) = &tail.vote {
                standing.votes.insert(partition, Arc::clone(vote));
                standing.commits.insert(partition, tail.committed);
            }
        }
        Self {
            disk,
            identity,
            segment_bytes: options.segment_bytes,
            log_bytes_max: options.log_bytes_max,
            segment,
            next_record,
            standing,
            buffer: Vec::new(),
            marked: true,
            stuck: None,
            shared,
            applies,
        }
    }

    /// Runs, and if that ends in a panic, fails the log: nobody waits for ever.
    pub(super) fn guarded(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.run())).is_ok() {
            return;
        }
        let cause = std::io::Error::other("the thread that writes it panicked");
        *lock(&self.shared.failure) = Some(JournalError::fatal("write", "the log", &cause));
        // Everything is refused from here on, by the same loop.
        let _ = catch_unwind(AssertUnwindSafe(|| self.run()));
    }

    fn run(&mut self) {
        loop {
            self.applies.wait_for_room();
            match self.next() {
                Next::Group(mut group) => {
                    while let Some(left) = self.try_write(group) {
                        std::thread::sleep(RETRY);
                        group = left;
                    }
                }
                Next::Idle => self.idle(),
                Next::Closing => break,
            }
        }
        self.mark();
    }

    /// Does what [`Self::run`] does between two waits.
    pub(super) fn step(&mut self) -> Step {
        if !self.applies.has_room() {
            return Step::Stuck;
        }
        let group = self.stuck.take().or_else(|| {
            let mut queue = lock(&self.shared.queue);
            (!queue.works.is_empty()).then(|| Group::take(&mut queue))
        });
        let Some(group) = group else {
            self.idle();
            return Step::Idle;
        };
        self.stuck = self.try_write(group);
        if self.stuck.is_some() { Step::Stuck } else { Step::Done }
    }

    fn idle(&mut self) {
        self.mark();
        self.look_for_room();
    }

    /// What waits, up to a bound.
    fn next(&mut self) -> Next {
        let mut queue = lock(&self.shared.queue);
        while queue.works.is_empty() {
            if queue.closing {
                return Next::Closing;
            }
            if self.marked && lock(&self.shared.full).is_none() {
                queue = self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, timeout) =
                self.shared.wake.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if timeout.timed_out() && queue.works.is_empty() {
                return Next::Idle;
            }
        }
        Next::Group(Group::take(&mut queue))
    }

    /// Writes a group. It is given back if there is no room: what was taken can't
    /// be refused any more, and waits.
    fn try_write(&mut self, mut group: Group) -> Option<Group> {
        let place = match self.write(&mut group.records) {
            Ok(place) => place,
            Err(error) => {
                self.latch(&error);
                if error.is_full() && !self.closing() {
                    return Some(group);
                }
                group.works.into_iter().for_each(|work| work.done.call(Err(error.clone())));
                return None;
            }
        };
        let Group { works, commits, .. } = group;
        self.marked = false;
        // Not before: a segment that this group begins says first what stands.
        self.standing.commits.extend(commits);
        for work in works {
            self.standing.heads.insert(work.partition, work.head);
            self.finish(work, place);
        }
        match self.look_ahead() {
            Ok(()) => *lock(&self.shared.full) = None,
            Err(error) => self.latch(&error),
        }
        None
    }

    /// Tries again whether there is room, if there was none: nothing may come any
    /// more that would show it.
    fn look_for_room(&mut self) {
        if lock(&self.shared.full).is_some() && self.look_ahead().is_ok() {
            *lock(&self.shared.full) = None;
        }
    }

    /// Begins the next segment while there is still some room in this one, so
    /// that it is known that there will be none before it is needed.
    fn look_ahead(&mut self) -> Result<(), JournalError> {
        let reserve = usize::try_from(self.segment_bytes / 2).unwrap_or(usize::MAX);
        let reserve = reserve.min(GROUP_BYTES_MAX);
        match &self.segment {
            Some(segment) if !segment.fits(reserve) => self.roll(0),
            Some(_) | None => Ok(()),
        }
    }

    /// A piece of work is durable, in the group that begins at a place.
    fn finish(&mut self, work: Work, group: Place) {
        if let Some(mut tail) = self.shared.tail(work.partition) {
            match work.what {
                What::Entries(first, last) => {
                    tail.stored(Run { first, last, group }, work.truncations);
                    // Under the tail's lock, so that they are handed over in order.
                    let entries = tail.hand_over();
                    if !entries.is_empty() {
                        self.applies.take(entries);
                    }
                }
                What::Truncation => tail.truncated(work.truncations),
                What::Vote(vote) => {
                    self.standing.votes.insert(work.partition, vote);
                }
            }
        }
        work.done.call(Ok(()));
    }

    fn closing(&self) -> bool {
        lock(&self.shared.queue).closing
    }

    fn latch(&self, error: &JournalError) {
        let latch = if error.is_full() { &self.shared.full } else { &self.shared.failure };
        let mut latched = lock(latch);
        if latched.is_none() {
            tracing::error!(%error, "the log could not be written");
        }
        *latched = Some(error.clone());
    }

    /// Writes a group and syncs it; where it is.
    fn write(&mut self, records: &mut [Vec<u8>]) -> Result<Place, JournalError> {
        if let Some(failure) = &*lock(&self.shared.failure) {
            return Err(failure.clone());
        }
        let bytes = bytes_of(records);
        // What was taken before it was known that there is no room goes into what
        // room the segment has.
        if !self.segment.as_ref().is_some_and(|segment| segment.fits(bytes)) {
            if let Some(shortage) = self.shared.space.shortage() {
                return Err(shortage);
            }
            self.roll(bytes)?;
        }
        let Some(segment) = &mut self.segment else { return Err(JournalError::Closed) };
        let place =
            Place { segment: segment.first_record, offset: segment.end, record: self.next_record };
        for (record, number) in records.iter_mut().zip(self.next_record..) {
            record::number(record, number);
        }
        segment.write(self.next_record, records, &mut self.buffer)?;
        self.next_record += records.len() as u64;
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        Ok(place)
    }

    /// Begins the next segment, and says in it what stands. The one before stays
    /// what it is written to if there is no room for another.
    fn roll(&mut self, bytes: usize) -> Result<(), JournalError> {
        let segments = lock(&self.shared.sealed).len() as u64 + 1;
        if segments.saturating_mul(self.segment_bytes) > self.log_bytes_max {
            return Err(JournalError::Full {
                file: self.disk.describe(segment::directory()),
                operation: "add a segment to",
                cause: format!(
                    "the log has {segments} segments, and no more than {} bytes are allowed: a \
                     store can't be made durable",
                    self.log_bytes_max
                ),
            });
        }
        let mut salt = [0; 8];
        self.shared
            .hands
            .random(&mut salt)
            .map_err(|error| JournalError::io("draw a salt for", "a log segment", &error))?;
        let heads = self.standing.heads.iter().map(|(&partition, position)| Head {
            partition,
            term: position.term,
            index: position.index,
        });
        let header = SegmentHeader {
            cluster: self.identity.cluster,
            node: self.identity.node,
            salt: u64::from_le_bytes(salt),
            first_record: self.next_record,
            heads: heads.collect(),
        };
        let mut standing = self.standing.records();
        // Room for a group that is larger than a segment, too.
        let room = (bytes + bytes_of(&standing)) as u64 + (1 << 20) + (64 << 10);
        // One that nothing was written to is made anew, under the same name.
        let before = self.segment.take().filter(|before| before.first_record != self.next_record);
        match self.begin(&header, self.segment_bytes.max(room), &mut standing) {
            Ok(segment) => {
                if let Some(before) = before {
                    let heads = self.standing.heads.iter().map(|(&p, at)| (p, at.index)).collect();
                    lock(&self.shared.sealed).push_back(Sealed {
                        path: before.path,
                        first_record: before.first_record,
                        heads,
                    });
                }
                self.next_record += standing.len() as u64;
                self.segment = Some(segment);
                Ok(())
            }
            Err(error) => {
                self.segment = before;
                Err(error)
            }
        }
    }

    /// Makes a segment whose first group says what stands.
    fn begin(
        &mut self,
        header: &SegmentHeader,
        bytes_max: u64,
        standing: &mut [Vec<u8>],
    ) -> Result<Segment, JournalError> {
        let mut segment = Segment::create(&*self.disk, header, bytes_max)?;
        if standing.is_empty() {
            return Ok(segment);
        }
        for (record, number) in standing.iter_mut().zip(header.first_record..) {
            record::number(record, number);
        }
        match segment.write(header.first_record, standing, &mut self.buffer) {
            Ok(()) => Ok(segment),
            Err(error) => {
                if error.is_full() {
                    // Nothing of it is needed, and it is made again.
                    segment.discard(&*self.disk);
                }
                Err(error)
            }
        }
    }

    /// Says behind the last group that all before it is durable, and how far it
    /// is committed.
    fn mark(&mut self) {
        if self.marked || lock(&self.shared.failure).is_some() {
            return;
        }
        self.marked = true;
        let commits = lock(&self.shared.queue).take_commits();
        let mut records: Vec<Vec<u8>> = commits_record(&commits).into_iter().collect();
        self.standing.commits.extend(commits);
        let Some(segment) = &mut self.segment else { return };
        if !segment.fits(bytes_of(&records)) {
            return;
        }
        for (record, number) in records.iter_mut().zip(self.next_record..) {
            record::number(record, number);
        }
        match segment.write(self.next_record, &records, &mut self.buffer) {
            Ok(()) => self.next_record += records.len() as u64,
            Err(error) => self.latch(&error),
        }
    }
}

impl Standing {
    fn records(&self) -> Vec<Vec<u8>> {
        let mut records: Vec<_> =
            self.votes.iter().map(|(&partition, vote)| record::vote(partition, vote)).collect();
        if !self.commits.is_empty() {
            records.push(record::commits(self.commits.iter().map(|(&p, &index)| (p, index))));
        }
        records
    }
}

/// What says how far partitions are committed, if there is something to say.
fn commits_record(commits: &Commits) -> Option<Vec<u8>> {
    let said = commits.iter().map(|(&partition, &index)| (partition, index));
    (!commits.is_empty()).then(|| record::commits(said))
}

/// The bytes that records have in a group.
fn bytes_of(records: &[Vec<u8>]) -> usize {
    records.iter().map(|record| record.len() + RECORD_PREFIX_BYTES).sum()
}
