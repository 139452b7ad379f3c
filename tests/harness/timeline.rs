//! Whether what clients saw could have happened one thing after the other.
//!
//! A history is *linearizable* if each operation can be given one moment between
//! its call and its answer, so that in the order of these moments every answer is
//! right. In general that is hard to tell. Of a ledger it is not: each command adds
//! one event with a serial of its own, so the journal itself says in which order
//! commands took effect, and a query that counts so many events took effect after
//! the last of them and before the next. What is left to check is that this order
//! doesn't contradict the clients' clock: nothing may take effect before something
//! that was over when it was called.
//!
//! So a stale read is found, as it counts fewer than what was acknowledged before
//! it was asked; a read of what was never durable, as it counts events that the
//! journal lacks or has otherwise; and a command that took effect before it was
//! sent, or in another order than callers saw.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// What a client did with an entity, and what it saw of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A command that records its serial was acknowledged.
    Recorded {
        /// The serial.
        serial: String,
        /// The sequence number that it was acknowledged at.
        sequence: u64,
        /// How many events the reply counted.
        count: u64,
        /// The last serial, as the reply had it.
        last: String,
    },
    /// A command that records its serial was never acknowledged; it may take
    /// effect at any time after its call.
    Sent {
        /// The serial.
        serial: String,
    },
    /// A query was answered.
    Read {
        /// How many events it counted.
        count: u64,
        /// The last serial, as the answer had it.
        last: String,
    },
    /// It was told how many events there are, and no more.
    Counted {
        /// How many.
        count: u64,
    },
}

/// An operation, and when. A command that was tried again and again is one
/// operation, from its first call on.
#[derive(Debug, Clone)]
struct Entry {
    operation: Operation,
    called: Duration,
    /// When its answer was there.
    answered: Option<Duration>,
    /// Who was asked last.
    of: usize,
}

/// All that clients did, by entity.
#[derive(Debug)]
pub struct Timeline {
    began: Instant,
    entities: BTreeMap<String, Vec<Entry>>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { began: Instant::now(), entities: BTreeMap::new() }
    }
}

impl Timeline {
    /// Notes an operation: when it was called, when it was answered, if it was, and
    /// by which node.
    pub fn note(
        &mut self,
        entity: &str,
        operation: Operation,
        called: Instant,
        answered: Option<Instant>,
        of: usize,
    ) {
        let since = |at: Instant| at.saturating_duration_since(self.began);
        let (called, answered) = (since(called), answered.map(since));
        let entry = Entry { operation, called, answered, of };
        self.entities.entry(entity.to_owned()).or_default().push(entry);
    }

    /// How many operations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entities.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Checks against the journal: for each entity its events' serials, in order.
    /// Returns what can't have been.
    #[must_use]
    pub fn check(&self, journal: &BTreeMap<String, Vec<(u64, String)>>) -> Vec<String> {
        let mut violations = Vec::new();
        for (entity, entries) in &self.entities {
            let events = journal.get(entity).map(Vec::as_slice).unwrap_or_default();
            let serials: Vec<&str> = events.iter().map(|(_, serial)| serial.as_str()).collect();
            let found = check_entity(entries, &serials);
            violations.extend(found.into_iter().map(|what| format!("{entity}: {what}")));
        }
        violations
    }
}

/// A moment in an entity's life: that of its nth event is 2n, that of a query that
/// counted n events 2n + 1.
type Moment = u64;

fn check_entity(entries: &[Entry], journal: &[&str]) -> Vec<String> {
    let mut violations = Vec::new();
    let places: HashMap<&str, u64> = journal.iter().copied().zip(1..).collect();
    let mut placed: Vec<(Moment, &Entry)> = Vec::new();
    for entry in entries {
        match moment_of(entry, journal, &places) {
            Ok(Some(moment)) => placed.push((moment, entry)),
            // It never took effect.
            Ok(None) => {}
            Err(why) => violations.push(format!("{why}: {}", shown(entry))),
        }
    }
    placed.sort_by_key(|(moment, _)| std::cmp::Reverse(*moment));
    // The first answer among those that took effect later than what is looked at.
    let mut first: Option<&Entry> = None;
    for same in placed.chunk_by(|(one, _), (other, _)| one == other) {
        for (_, entry) in same {
            if let Some(later) = first
                && later.answered.is_some_and(|answered| answered < entry.called)
            {
                violations.push(format!(
                    "{} was over before {} was called, and took effect after it",
                    shown(later),
                    shown(entry)
                ));
            }
        }
        let answered = same.iter().map(|(_, entry)| *entry).filter(|e| e.answered.is_some());
        first = first.into_iter().chain(answered).min_by_key(|entry| entry.answered);
    }
    violations
}

fn moment_of(
    entry: &Entry,
    journal: &[&str],
    places: &HashMap<&str, u64>,
) -> Result<Option<Moment>, String> {
    let at = |count: u64| -> Option<&str> {
        let index = usize::try_from(count.checked_sub(1)?).ok()?;
        journal.get(index).copied()
    };
    match &entry.operation {
        Operation::Recorded { serial, sequence, count, last } => {
            if at(*sequence) != Some(serial) {
                return Err(format!("event {sequence} is {:?}", at(*sequence)));
            }
            if count != sequence || last != serial {
                return Err("the reply is that of another command".into());
            }
            Ok(Some(sequence * 2))
        }
        Operation::Sent { serial } => Ok(places.get(serial.as_str()).map(|place| place * 2)),
        Operation::Read { count, last } => {
            let expected = if *count == 0 { Some("") } else { at(*count) };
            if expected != Some(last) {
                return Err(format!("event {count} is {expected:?}"));
            }
            Ok(Some(count * 2 + 1))
        }
        Operation::Counted { count } => {
            if *count > 0 && at(*count).is_none() {
                return Err(format!("there is no event {count}"));
            }
            Ok(Some(count * 2 + 1))
        }
    }
}

fn shown(entry: &Entry) -> String {
    let answered = match entry.answered {
        Some(answered) => format!("{:.3} s", answered.as_secs_f64()),
        None => "never".into(),
    };
    let (called, of) = (entry.called.as_secs_f64(), entry.of);
    format!("[{:?} of node {of}, called at {called:.3} s, answered {answered}]", entry.operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations as (operation, called, answered), in seconds.
    type Given = (Operation, u64, Option<u64>);

    fn violations(operations: &[Given], journal: &[&str]) -> Vec<String> {
        let mut timeline = Timeline::default();
        let at = |seconds: u64| timeline.began + Duration::from_secs(seconds);
        let noted: Vec<_> = operations
            .iter()
            .map(|(operation, called, answered)| (operation.clone(), at(*called), answered.map(at)))
            .collect();
        for (operation, called, answered) in noted {
            timeline.note("e", operation, called, answered, 0);
        }
        let journal = (1..).zip(journal.iter().map(|serial| (*serial).to_owned())).collect();
        timeline.check(&BTreeMap::from([("e".to_owned(), journal)]))
    }

    fn recorded(serial: &str, sequence: u64) -> Operation {
        let serial = serial.to_owned();
        Operation::Recorded { last: serial.clone(), serial, sequence, count: sequence }
    }

    fn sent(serial: &str) -> Operation {
        Operation::Sent { serial: serial.to_owned() }
    }

    fn read(count: u64, last: &str) -> Operation {
        Operation::Read { count, last: last.to_owned() }
    }

    fn counted(count: u64) -> Operation {
        Operation::Counted { count }
    }

    #[test]
    fn what_could_have_been_is_no_violation() {
        let none = Vec::<String>::new();
        // One after the other, with queries between.
        let one_by_one = [
            (read(0, ""), 0, Some(1)),
            (recorded("a", 1), 2, Some(3)),
            (read(1, "a"), 4, Some(5)),
            (recorded("b", 2), 6, Some(7)),
            (read(2, "b"), 8, Some(9)),
            (counted(2), 10, Some(11)),
        ];
        assert_eq!(violations(&one_by_one, &["a", "b"]), none);
        // At the same time, any order will do.
        let together = [
            (recorded("a", 2), 0, Some(9)),
            (recorded("b", 1), 1, Some(8)),
            (read(0, ""), 0, Some(9)),
            (read(2, "a"), 0, Some(9)),
            (read(1, "b"), 0, Some(9)),
        ];
        assert_eq!(violations(&together, &["b", "a"]), none);
        // What was never answered may take effect late, or never.
        let unknown = [
            (sent("lost"), 0, None),
            (sent("late"), 0, None),
            (recorded("a", 1), 1, Some(2)),
            (read(1, "a"), 3, Some(4)),
            (read(2, "late"), 5, Some(6)),
        ];
        assert_eq!(violations(&unknown, &["a", "late"]), none);
        // Queries that saw the same have no order.
        let same = [
            (recorded("a", 1), 0, Some(1)),
            (read(1, "a"), 4, Some(5)),
            (read(1, "a"), 2, Some(3)),
        ];
        assert_eq!(violations(&same, &["a"]), none);
    }

    #[test]
    fn every_kind_of_violation_is_found() {
        let a = (recorded("a", 1), 0, Some(1));
        let planted: [(&str, Vec<Given>, &[&str]); 13] = [
            ("a stale read", vec![a.clone(), (read(0, ""), 2, Some(3))], &["a"]),
            ("a stale count", vec![a.clone(), (counted(0), 2, Some(3))], &["a"]),
            ("a count of what was not durable", vec![(counted(2), 2, Some(3))], &["a"]),
            ("a read of what was not durable", vec![a.clone(), (read(2, "b"), 2, Some(3))], &["a"]),
            ("a read of another past", vec![(read(1, "x"), 0, Some(1))], &["a"]),
            (
                "a read that goes back behind another",
                vec![(sent("a"), 0, None), (read(1, "a"), 1, Some(2)), (read(0, ""), 3, Some(4))],
                &["a"],
            ),
            (
                "commands in another order than callers saw",
                vec![(recorded("a", 2), 0, Some(1)), (recorded("b", 1), 2, Some(3))],
                &["b", "a"],
            ),
            (
                "one that took effect before it was sent",
                vec![(sent("b"), 5, None), (recorded("a", 2), 0, Some(1))],
                &["b", "a"],
            ),
            (
                "a read of what was sent after it",
                vec![(read(1, "a"), 0, Some(1)), (recorded("a", 1), 2, Some(3))],
                &["a"],
            ),
            ("one that is lost", vec![a.clone()], &[]),
            ("one in another's place", vec![a.clone()], &["b", "a"]),
            (
                "a reply that is another's",
                vec![(
                    Operation::Recorded {
                        serial: "a".into(),
                        sequence: 1,
                        count: 2,
                        last: "b".into(),
                    },
                    0,
                    Some(1),
                )],
                &["a", "b"],
            ),
            (
                "a stale read beside reads that are right",
                vec![a, (read(1, "a"), 2, Some(9)), (read(0, ""), 2, Some(9))],
                &["a"],
            ),
        ];
        for (what, operations, journal) in planted {
            assert_eq!(violations(&operations, journal).len(), 1, "{what}");
        }
    }

    /// Against a check that tries every order, on small histories at random.
    #[test]
    fn it_finds_what_trying_every_order_finds() {
        let mut random = crate::random::Random::new(7);
        let (mut right, mut wrong) = (0, 0);
        for _ in 0..4_000 {
            let journal = ["a", "b", "c"];
            let mut operations: Vec<Given> = Vec::new();
            for (serial, sequence) in journal.into_iter().zip(1..) {
                let called = random.below(12);
                let answered = called + 1 + random.below(8);
                operations.push(match random.below(4) {
                    0 => (sent(serial), called, None),
                    _ => (recorded(serial, sequence), called, Some(answered)),
                });
            }
            for _ in 0..random.below(3) {
                let count = random.below(4);
                let last = ["", "a", "b", "c"][count as usize];
                let called = random.below(12);
                operations.push((read(count, last), called, Some(called + 1 + random.below(8))));
            }
            let possible = some_order_is_right(&operations, &mut Vec::new());
            let found = violations(&operations, &journal);
            assert_eq!(found.is_empty(), possible, "{operations:?} {found:?}");
            *if possible { &mut right } else { &mut wrong } += 1;
        }
        assert!(right > 200 && wrong > 200, "{right} right, {wrong} wrong");
    }

    /// Tries to put what is left behind what is done: all of it, as all commands
    /// of these histories took effect.
    fn some_order_is_right(operations: &[Given], done: &mut Vec<usize>) -> bool {
        if done.len() == operations.len() {
            return true;
        }
        for next in (0..operations.len()).filter(|at| !done.contains(at)).collect::<Vec<_>>() {
            let (operation, called, _) = &operations[next];
            // Nothing that was over before it was called may come after it.
            let left = (0..operations.len()).filter(|at| *at != next && !done.contains(at));
            let mut others = left.map(|at| operations[at].2.unwrap_or(u64::MAX));
            if others.any(|answered| answered < *called) {
                continue;
            }
            let count = done
                .iter()
                .filter(|at| {
                    matches!(
                        operations[**at].0,
                        Operation::Recorded { .. } | Operation::Sent { .. }
                    )
                })
                .count() as u64;
            let fits = match operation {
                Operation::Recorded { sequence, .. } => *sequence == count + 1,
                Operation::Sent { serial } => {
                    ["a", "b", "c"].get(count as usize) == Some(&serial.as_str())
                }
                Operation::Read { count: read, .. } | Operation::Counted { count: read } => {
                    *read == count
                }
            };
            if fits {
                done.push(next);
                if some_order_is_right(operations, done) {
                    return true;
                }
                done.pop();
            }
        }
        false
    }
}
