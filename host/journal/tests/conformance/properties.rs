//! Generated operations, done to a journal and to the model alike: whatever is
//! read must be the same, at every step.
//!
//! `STEAD_CASES` says how many runs there are, `STEAD_SEED` repeats those of a
//! seed. A run that failed is kept in `properties.regressions` beside this file
//! and is tried first from then on.

use std::{collections::BTreeMap, env, fmt::Debug};

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::Index,
    test_runner::{Config, FileFailurePersistence, RngSeed, TestCaseError, TestRunner},
};
use stead_journal::{FAR_OFF_KEPT_MS, JournalError, MINTED_KEPT};
use stead_model::{
    Address, Entry, Event, Item, Lifecycle, LogIndex, PartitionId, RequestId, SequenceNumber,
    SnapshotItem, Term, TimestampMs,
};

use crate::{
    commands::{BEGIN_MS, Command, address, caller, entity_type, minted, snapshot},
    model::Model,
    planted::Defect,
    real::Real,
    subject::{Bounds, PARTITIONS, Reopening, Subject},
};

/// The entities that things happen to, in each partition.
const ENTITIES: [&str; 6] = ["a/1", "a/10", "a/é", "a/1/0", "a-b/1", "b/1"];
const CALLER_RETENTION_MS: u64 = 5_000;
const MINTED_RETENTION_MS: u64 = 500;
/// Runs, if it isn't said otherwise.
const CASES: u32 = 200;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Operation {
    /// Entries are appended, and waited for.
    Append(Vec<Plan>),
    /// Entries are appended, and the journal ends before they are waited for.
    AppendAndReopen(Vec<Plan>, Reopening),
    /// The journal is opened again.
    Reopen(Reopening),
    /// An entry is appended that must be refused.
    Refused(Plan, Mistake),
    /// A new leader: the term goes on.
    Term(u8),
}

#[derive(Debug, Clone, Copy)]
enum Mistake {
    Gap(u8),
    Again,
    OldTerm,
}

/// An entry without its place.
#[derive(Debug, Clone)]
struct Plan {
    partition: PartitionId,
    after_ms: u64,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Command {
        entity: usize,
        events: Vec<u16>,
        reply: u16,
        request: Request,
        lifecycle: Lifecycle,
    },
    Snapshot {
        entity: usize,
        /// So far from the last event; below 0 is past it.
        back: i64,
        bytes: u16,
        drop_back: Option<u64>,
    },
}

#[derive(Debug, Clone)]
enum Request {
    Caller(u8),
    Minted(u16),
    MintedFarOff(u8),
    /// One that was used before.
    Again(Index),
}

fn reopening() -> impl Strategy<Value = Reopening> {
    prop_oneof![
        Just(Reopening::Closed),
        Just(Reopening::Killed),
        any::<u64>().prop_map(Reopening::PowerLost),
    ]
}

fn size() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0..40_u16, 1 => 0..6_000_u16]
}

fn step() -> impl Strategy<Value = Step> {
    let request = prop_oneof![
        2 => any::<u8>().prop_map(Request::Caller),
        3 => any::<u16>().prop_map(Request::Minted),
        1 => (0..3_u8).prop_map(Request::MintedFarOff),
        2 => any::<Index>().prop_map(Request::Again),
    ];
    let lifecycle = prop_oneof![
        12 => Just(Lifecycle::Continues),
        1 => Just(Lifecycle::EndsKeepingEvents),
        1 => Just(Lifecycle::EndsPurgingEvents),
    ];
    let command = (0..ENTITIES.len(), vec(size(), 0..6), size(), request, lifecycle);
    let drop_back = proptest::option::weighted(0.3, 0..6_u64);
    let snapshot = (0..ENTITIES.len(), -1..8_i64, size(), drop_back);
    prop_oneof![
        3 => command.prop_map(|(entity, events, reply, request, lifecycle)| {
            Step::Command { entity, events, reply, request, lifecycle }
        }),
        2 => snapshot.prop_map(|(entity, back, bytes, drop_back)| {
            Step::Snapshot { entity, back, bytes, drop_back }
        }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let after_ms = prop_oneof![6 => 0..400_u64, 2 => 0..6_000_u64, 1 => Just(100_000)];
    (0..PARTITIONS, after_ms, vec(step(), 0..5)).prop_map(|(partition, after_ms, steps)| Plan {
        partition: PartitionId(partition),
        after_ms,
        steps,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let mistake =
        prop_oneof![(1..4_u8).prop_map(Mistake::Gap), Just(Mistake::Again), Just(Mistake::OldTerm)];
    prop_oneof![
        12 => vec(plan(), 1..4).prop_map(Operation::Append),
        2 => (vec(plan(), 1..5), reopening())
            .prop_map(|(plans, how)| Operation::AppendAndReopen(plans, how)),
        2 => reopening().prop_map(Operation::Reopen),
        1 => (plan(), mistake).prop_map(|(plan, mistake)| Operation::Refused(plan, mistake)),
        1 => (1..4_u8).prop_map(Operation::Term),
    ]
}

/// What happens, and what is known of it.
struct World<'a> {
    subject: &'a mut dyn Subject,
    model: Model,
    term: Term,
    now_ms: u64,
    requests: Vec<RequestId>,
}

type Found = Result<(), TestCaseError>;

fn same<T: PartialEq + Debug>(what: impl Fn() -> String, subject: T, model: T) -> Found {
    if subject == model {
        return Ok(());
    }
    Err(TestCaseError::fail(format!("{}: {subject:?}, the model: {model:?}", what())))
}

impl World<'_> {
    fn run(&mut self, operations: &[Operation]) -> Found {
        for operation in operations {
            self.act(operation)?;
            let partitions = (0..PARTITIONS).map(PartitionId);
            partitions.into_iter().try_for_each(|partition| self.compare(partition))?;
        }
        self.drain()
    }

    fn act(&mut self, operation: &Operation) -> Found {
        match operation {
            Operation::Append(plans) => {
                let entries = self.entries(plans);
                let results = self.subject.append_all(entries.clone());
                let refused = results.into_iter().find_map(Result::err);
                same(|| "an entry is refused".into(), refused, None)?;
                entries.iter().for_each(|entry| self.take(entry));
            }
            Operation::AppendAndReopen(plans, how) => {
                let entries = self.entries(plans);
                self.subject.append_and_reopen(entries.clone(), *how);
                for entry in &entries {
                    if self.subject.head(entry.partition).1 >= entry.index {
                        self.take(entry);
                    } else if *how == Reopening::Closed {
                        return Err(TestCaseError::fail("closing lost an entry"));
                    }
                }
            }
            Operation::Reopen(how) => self.subject.reopen(*how),
            Operation::Refused(plan, mistake) => self.refused(plan, *mistake)?,
            Operation::Term(more) => self.term.0 += u64::from(*more),
        }
        Ok(())
    }

    fn take(&mut self, entry: &Entry) {
        self.model.apply(entry).expect("the model takes what is right");
    }

    fn refused(&mut self, plan: &Plan, mistake: Mistake) -> Found {
        let Some(mut entry) = self.entries(std::slice::from_ref(plan)).pop() else { return Ok(()) };
        let (term, head) = self.model.head(plan.partition);
        match mistake {
            Mistake::Gap(more) => entry.index.0 += u64::from(more),
            Mistake::Again => entry.index = head,
            Mistake::OldTerm if term.get() > 0 => entry.term = Term(term.get() - 1),
            Mistake::OldTerm => return Ok(()),
        }
        match self.subject.append(entry) {
            Err(JournalError::Inconsistent { .. }) => Ok(()),
            other => Err(TestCaseError::fail(format!("{mistake:?} is taken: {other:?}"))),
        }
    }

    /// Entries that follow on what there is and on each other.
    fn entries(&mut self, plans: &[Plan]) -> Vec<Entry> {
        let mut heads: BTreeMap<PartitionId, LogIndex> = BTreeMap::new();
        let mut lasts: BTreeMap<(PartitionId, Address), u64> = BTreeMap::new();
        let mut entries = Vec::new();
        for Plan { partition, after_ms, steps } in plans {
            self.now_ms += after_ms;
            let head = heads.entry(*partition).or_insert_with(|| self.model.head(*partition).1);
            *head = head.next();
            let index = *head;
            let mut items = Vec::new();
            for step in steps {
                items.push(self.item(*partition, step, &mut lasts));
            }
            let at = TimestampMs(BEGIN_MS + self.now_ms);
            entries.push(Entry { partition: *partition, term: self.term, index, at, items });
        }
        entries
    }

    fn item(
        &mut self,
        partition: PartitionId,
        step: &Step,
        lasts: &mut BTreeMap<(PartitionId, Address), u64>,
    ) -> Item {
        let entity = match step {
            Step::Command { entity, .. } | Step::Snapshot { entity, .. } => *entity,
        };
        let address = address(ENTITIES[entity]);
        let known = self.model.entity(partition, &address);
        let known = known.map_or(0, |record| record.last_sequence.get());
        let last = lasts.entry((partition, address.clone())).or_insert(known);
        match step {
            Step::Command { events, reply, request, lifecycle, .. } => {
                let request = request_of(request, self.now_ms, &mut self.requests);
                let retention = match request {
                    RequestId::Caller(_) => CALLER_RETENTION_MS,
                    RequestId::Minted(_) => MINTED_RETENTION_MS,
                };
                let first = *last;
                *last += events.len() as u64;
                let events = (first + 1..).zip(events).map(|(number, size)| Event {
                    name: format!("event-{}", number % 3),
                    body: [number as u8].repeat(usize::from(*size)),
                });
                Command::new(&address, 0)
                    .events(events.collect())
                    .digest(u128::from(self.now_ms))
                    .reply([first as u8].repeat(usize::from(*reply)))
                    .request(request)
                    .expires_after(self.now_ms + retention)
                    .ends(*lifecycle)
                    .after(first)
            }
            Step::Snapshot { back, bytes, drop_back, .. } => {
                let sequence = last.saturating_add_signed(-back);
                Item::Snapshot(SnapshotItem {
                    state: [self.now_ms as u8].repeat(usize::from(*bytes)),
                    drop_events_through: drop_back
                        .map(|back| SequenceNumber(last.saturating_sub(back))),
                    ..snapshot(&address, sequence)
                })
            }
        }
    }

    fn compare(&self, partition: PartitionId) -> Found {
        let at = |what: &str| format!("partition {partition}, {what}");
        let subject = &*self.subject;
        same(|| at("head"), subject.head(partition).1, self.model.head(partition).1)?;
        for name in ENTITIES {
            self.compare_entity(partition, &address(name))?;
        }
        let mut entities = 0;
        for name in ["a", "a-b", "b", "c"] {
            let of_type = entity_type(name);
            let all = self.model.entities(partition, &of_type, None, usize::MAX);
            entities += all.len() as u64;
            let afters = [None].into_iter().chain(all.iter().map(Some));
            for (after, count_max) in afters.flat_map(|after| [(after, usize::MAX), (after, 1)]) {
                same(
                    || at(&format!("entities of {name} after {after:?}, {count_max} at most")),
                    subject.entities(partition, &of_type, after, count_max),
                    self.model.entities(partition, &of_type, after, count_max),
                )?;
            }
        }
        // What is dropped is deleted bit by bit: it may still be there.
        let (known, stored) = subject.counts(partition);
        same(|| at("entities"), known, entities)?;
        let visible = self.model.counts(partition).1;
        same(|| at(&format!("of {visible} events, {stored} are there")), stored < visible, false)
    }

    fn compare_entity(&self, partition: PartitionId, address: &Address) -> Found {
        let (subject, model) = (&*self.subject, &self.model);
        let at = |what: String| format!("{address} in partition {partition}, {what}");
        let record = model.entity(partition, address);
        same(|| at("entity".into()), subject.entity(partition, address), record)?;
        let last = record.map_or(0, |record| record.last_sequence.get());
        let mut at_most = model.snapshots(partition, address);
        at_most.extend(at_most.clone().into_iter().map(|sequence| sequence - 1));
        at_most.extend([0, last, u64::MAX]);
        for at_most in at_most {
            let at_most = SequenceNumber(at_most);
            same(
                || at(format!("snapshot at or below {at_most}")),
                subject.snapshot(partition, address, at_most),
                model.snapshot(partition, address, at_most),
            )?;
        }
        let some = Bounds::ALL.from(last.saturating_sub(4)).to(last.saturating_sub(1));
        for bounds in [
            Bounds::ALL,
            Bounds::ALL.bytes(50),
            some,
            some.count(2),
            some.to(u64::MAX).count(3).bytes(30),
            Bounds::ALL.from(last + 1),
        ] {
            same(
                || at(format!("{bounds:?}")),
                subject.events(partition, address, bounds),
                model.events(partition, address, bounds),
            )?;
        }
        for request in &self.requests {
            let found = subject.reply(partition, address, request);
            let expected = model.reply(partition, address, request);
            // One that has expired may still be there for a while.
            let over = found.as_ref().is_some_and(|reply| reply.expires <= model.time(partition));
            if expected.is_some() || !over {
                same(|| at(format!("reply to {request}")), found, expected)?;
            }
        }
        Ok(())
    }

    /// After a long time all replies are forgotten, and all that was dropped is deleted.
    fn drain(&mut self) -> Found {
        self.now_ms += 10 * CALLER_RETENTION_MS + FAR_OFF_KEPT_MS;
        let clock = address("clock/1");
        for partition in (0..PARTITIONS).map(PartitionId) {
            let command = || Command::new(&clock, 0).expires_after(0).after(0);
            let index = self.model.head(partition).1.next();
            let at = TimestampMs(BEGIN_MS + self.now_ms);
            let mut items: Vec<Item> = (0..200).map(|_| command()).collect();
            let other = || Command::new(&clock, 0).expires_after(u64::MAX >> 1);
            items.extend(
                (0..MINTED_KEPT)
                    .map(|nth| other().request(minted(self.now_ms, (1 << 40) + nth)).after(0)),
            );
            let entry = Entry { partition, term: self.term, index, at, items };
            let taken = self.subject.append(entry.clone());
            same(|| "the last entry".into(), taken, Ok(()))?;
            self.take(&entry);
            for request in &self.requests {
                for name in ENTITIES {
                    let found = self.subject.reply(partition, &address(name), request);
                    same(|| format!("{name}, expired {request}"), found, None)?;
                }
            }
            same(
                || "entities and events in the end".into(),
                self.subject.counts(partition),
                self.model.counts(partition),
            )?;
        }
        Ok(())
    }
}

fn request_of(request: &Request, now_ms: u64, known: &mut Vec<RequestId>) -> RequestId {
    let made = match request {
        Request::Again(index) if !known.is_empty() => return index.get(known).clone(),
        Request::Again(_) => caller("first"),
        Request::Caller(key) => caller(&format!("key-{}", key % 16)),
        Request::Minted(random) => {
            RequestId::mint(TimestampMs(BEGIN_MS + now_ms), u128::from(*random) << 64)
        }
        Request::MintedFarOff(which) if which % 2 == 0 => RequestId::Minted(u128::from(*which)),
        Request::MintedFarOff(which) => RequestId::Minted(u128::MAX - u128::from(*which)),
    };
    if !known.contains(&made) {
        known.push(made.clone());
    }
    made
}

/// Looks for a difference between the model and the journal on a simulated disk,
/// or a model with a defect.
pub(crate) fn search(defect: Option<Defect>, cases: u32) -> Result<(), String> {
    let (seed, persistence) = match defect {
        None => {
            let seed = env::var("STEAD_SEED").ok().and_then(|text| text.parse().ok());
            let path = "tests/conformance/properties.regressions";
            (seed.unwrap_or_else(seed_of_now), Some(path))
        }
        Some(_) => (1, None),
    };
    let mut runner = TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: persistence
            .map(|path| Box::new(FileFailurePersistence::Direct(path)) as Box<_>),
        max_shrink_time: 60_000,
        ..Config::default()
    });
    let count = std::cell::Cell::new(0_u64);
    let result = runner.run(&vec(operation(), 1..24), |operations| {
        count.set(count.get() + operations.len() as u64);
        let mut real;
        let mut planted;
        let subject: &mut dyn Subject = match defect {
            None => {
                real = Real::simulated();
                &mut real
            }
            Some(defect) => {
                planted = Model::with(defect);
                &mut planted
            }
        };
        let (model, term) = (Model::default(), Term(1));
        World { subject, model, term, now_ms: 0, requests: Vec::new() }.run(&operations)
    });
    if defect.is_none() {
        println!("{cases} runs of STEAD_SEED={seed}, {} operations", count.get());
    }
    result.map_err(|error| format!("STEAD_SEED={seed}: {error}"))
}

fn seed_of_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_nanos() as u64)
}

#[test]
fn the_journal_and_the_model_agree_whatever_happens() {
    let cases = env::var("STEAD_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    if let Err(difference) = search(None, cases) {
        panic!("{difference}");
    }
}

#[test]
fn the_model_agrees_with_itself() {
    let mut runner =
        TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let result = runner.run(&vec(operation(), 1..24), |operations| {
        let mut subject = Model::default();
        let (model, term) = (Model::default(), Term(1));
        World { subject: &mut subject, model, term, now_ms: 0, requests: vec![] }.run(&operations)
    });
    result.expect("a comparison that fails here is wrong");
}
