//! What clients saw, and whether the journal agrees.
//!
//! Every command carries a serial that is its own, and the entity records it
//! in its event. So the journal tells for each command whether it is there
//! once, twice or not at all, whatever answers were lost on the way.

use std::collections::{BTreeMap, BTreeSet};

/// What a client knows of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It was acknowledged: the sequence number and the reply.
    Acknowledged {
        /// The entity's last sequence number after it.
        sequence: u64,
        /// The reply.
        reply: Vec<u8>,
    },
    /// It was sent and never answered.
    Unknown,
    /// It was surely not done: rejected, or refused before it began.
    Refused,
}

/// All that the clients know, by entity and serial.
#[derive(Debug, Default)]
pub struct History {
    commands: BTreeMap<String, BTreeMap<String, Known>>,
    violations: Vec<String>,
}

/// What a check counted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged commands, each found once.
    pub acknowledged: u64,
    /// Commands never answered.
    pub unknown: u64,
    /// Of those, the ones that are in the journal.
    pub unknown_done: u64,
    /// Events in the journals of all entities.
    pub events: u64,
    /// What is wrong; empty if nothing is.
    pub violations: Vec<String>,
}

impl History {
    /// Notes what became of a command. Called again for a retry, whose answer
    /// must be what the first was.
    pub fn note(&mut self, entity: &str, serial: &str, known: Known) {
        let commands = self.commands.entry(entity.to_owned()).or_default();
        match (commands.get(serial), &known) {
            (Some(Known::Acknowledged { .. }), Known::Unknown) => {}
            (Some(before @ Known::Acknowledged { .. }), after) if before != after => self
                .violations
                .push(format!("{entity} {serial}: first {before:?}, and on retry {after:?}")),
            _ => {
                commands.insert(serial.to_owned(), known);
            }
        }
    }

    /// The entities that were sent commands.
    pub fn entities(&self) -> impl Iterator<Item = &str> {
        self.commands.keys().map(String::as_str)
    }

    /// Acknowledged commands, as entity and serial, chosen by the numbers that
    /// `random` gives; at most `count`, and none twice.
    pub fn sample(&self, count: usize, mut random: impl FnMut() -> u64) -> Vec<(String, String)> {
        let all = self.commands.iter().flat_map(|(entity, commands)| {
            commands.iter().filter_map(move |(serial, known)| {
                matches!(known, Known::Acknowledged { .. }).then_some((entity, serial))
            })
        });
        let mut drawn: Vec<_> = all.map(|command| (random(), command)).collect();
        drawn.sort_unstable_by_key(|(number, _)| *number);
        drawn.truncate(count);
        drawn.into_iter().map(|(_, (entity, serial))| (entity.clone(), serial.clone())).collect()
    }

    /// Checks against the journal: for each entity the sequence number and the
    /// serial of each of its events, as read back.
    #[must_use]
    pub fn check(&self, journal: &BTreeMap<String, Vec<(u64, String)>>) -> Verdict {
        let mut verdict = Verdict { violations: self.violations.clone(), ..Verdict::default() };
        for (entity, commands) in &self.commands {
            let events = journal.get(entity).map(Vec::as_slice).unwrap_or_default();
            check_entity(entity, commands, events, &mut verdict);
        }
        verdict
    }
}

fn check_entity(
    entity: &str,
    commands: &BTreeMap<String, Known>,
    events: &[(u64, String)],
    verdict: &mut Verdict,
) {
    let mut places: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for (expected, (sequence, serial)) in (1..).zip(events) {
        verdict.events += 1;
        if *sequence != expected {
            verdict.violations.push(format!("{entity}: event {expected} has number {sequence}"));
        }
        if !commands.contains_key(serial.as_str()) {
            verdict.violations.push(format!("{entity}: nobody sent {serial}"));
        }
        places.entry(serial).or_default().insert(*sequence);
    }
    for (serial, known) in commands {
        let found = places.get(serial.as_str());
        let times = found.map_or(0, BTreeSet::len);
        if times > 1 {
            verdict.violations.push(format!("{entity} {serial}: done {times} times"));
        }
        match known {
            Known::Acknowledged { sequence, .. } => {
                verdict.acknowledged += 1;
                if !found.is_some_and(|found| found.contains(sequence)) {
                    verdict.violations.push(format!(
                        "{entity} {serial}: acknowledged at {sequence}, found at {found:?}"
                    ));
                }
            }
            Known::Unknown => {
                verdict.unknown += 1;
                verdict.unknown_done += u64::from(times > 0);
            }
            Known::Refused if times > 0 => {
                verdict.violations.push(format!("{entity} {serial}: refused, yet done"));
            }
            Known::Refused => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(sequence: u64, reply: &str) -> Known {
        Known::Acknowledged { sequence, reply: reply.into() }
    }

    fn violations(notes: &[(&str, Known)], events: &[(u64, &str)]) -> Vec<String> {
        let mut history = History::default();
        for (serial, known) in notes {
            history.note("e", serial, known.clone());
        }
        let events = events.iter().map(|(number, serial)| (*number, (*serial).to_owned()));
        history.check(&BTreeMap::from([("e".to_owned(), events.collect())])).violations
    }

    #[test]
    fn a_true_history_has_no_violations() {
        let notes = [
            ("a", acknowledged(1, "1")),
            ("b", Known::Unknown),
            ("c", Known::Unknown),
            ("d", Known::Refused),
            ("b", acknowledged(2, "2")),
            ("a", acknowledged(1, "1")),
        ];
        assert_eq!(violations(&notes, &[(1, "a"), (2, "b")]), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_violation_is_found() {
        let one = [("a", acknowledged(1, "1"))];
        for (notes, events) in [
            (&one[..], &[][..]),
            (&one, &[(1, "a"), (2, "a")]),
            (&one, &[(2, "a")]),
            (&one, &[(1, "a"), (2, "b")]),
            (&[("a", Known::Refused)], &[(1, "a")]),
            (&[("a", Known::Unknown)], &[(1, "a"), (2, "a")]),
            (&[("a", acknowledged(1, "1")), ("a", acknowledged(1, "2"))], &[(1, "a")]),
            (&[("a", acknowledged(1, "1")), ("a", Known::Refused)], &[(1, "a")]),
        ] {
            assert_eq!(violations(notes, events).len().min(1), 1, "{notes:?} {events:?}");
        }
    }
}
