//! Everything at once, from a seed: commands, queries and retries; commits,
//! applies and failed appends; traps, deployments, crashes and time; checked
//! against what a list of numbers would say. And the same with bugs put in, to
//! show that they are found.

use std::collections::BTreeMap;

use stead_model::RequestId;

use super::{
    guests::Code,
    house::{House, address, deployment},
    random::{Random, setting},
};
use crate::{Answer, AppendFailure, EngineConfig, PlantedBug, Ticket};

/// One command as its caller knows it.
struct Sent {
    entity: String,
    key: String,
    /// The word that it says, its own.
    word: String,
    tickets: Vec<Ticket>,
}

struct Run {
    house: House,
    random: Random,
    sent: Vec<Sent>,
    queries: Vec<(String, Ticket, usize)>,
    checked: usize,
    version: u32,
    violations: Vec<String>,
    faults: BTreeMap<&'static str, u64>,
}

const POLICY: &str = r#"{"type":"thing","snapshot":{"every-events":5,"every-bytes":0}}"#;

fn config(planted: Option<PlantedBug>) -> EngineConfig {
    EngineConfig {
        batch_items_max: 4,
        in_flight_max: 3,
        live_max: 4,
        replay_events: 3,
        replays_max: 2,
        unreadable_retry_ms: 50,
        quarantine_ms: 200,
        memory_bytes_max: 4_000,
        planted,
        ..EngineConfig::default()
    }
}

impl Run {
    fn new(seed: u64, planted: Option<PlantedBug>) -> Self {
        let mut house = House::new(config(planted));
        house.deploy(deployment(1, Code::sound(), POLICY));
        Self {
            house,
            random: Random(seed),
            sent: vec![],
            queries: vec![],
            checked: 0,
            version: 1,
            violations: vec![],
            faults: BTreeMap::new(),
        }
    }

    fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    fn step(&mut self) {
        let entity = self.random.below(8).to_string();
        match self.random.below(100) {
            0..30 => {
                let serial = self.sent.len();
                let (key, word) = (format!("k{serial}"), format!("w{serial}"));
                let ticket = self.house.command_under(&key, &entity, "say", &word);
                self.sent.push(Sent { entity, key, word, tickets: vec![ticket] });
            }
            30..40 if !self.sent.is_empty() => {
                let recent = self.sent.len().saturating_sub(20) as u64;
                let which = recent + self.random.below(self.sent.len() as u64 - recent);
                let sent = &mut self.sent[which as usize];
                let request = RequestId::Caller(sent.key.as_str().into());
                let ticket =
                    self.house.send(request, false, &sent.entity, "say", &sent.word.clone());
                sent.tickets.push(ticket);
            }
            40..48 => {
                let ticket = self.house.query(&entity);
                self.queries.push((entity, ticket, self.sent.len()));
            }
            48..51 => {
                self.count("trap");
                self.house.command(&entity, "trap", "");
            }
            51..53 => {
                self.count("refused");
                self.house.command(&entity, "refuse", "");
            }
            53..65 => {
                self.house.turn();
            }
            65..78 => {
                self.house.commit_one();
            }
            78..90 => {
                self.house.apply_one();
            }
            90..93 => {
                self.house.now = self.house.now.plus_ms(self.random.below(100));
            }
            93 if !self.house.log.is_empty() => {
                self.count("full disk");
                self.house.fail(AppendFailure::Full("full".into()));
            }
            94 => {
                self.count("crash");
                self.house.restart();
            }
            95 => {
                self.count("deployment");
                self.version += 1;
                let format = u8::try_from(self.version % 3).expect("small");
                let code = Code { formats: vec![format], ..Code::sound() };
                self.house.deploy(deployment(self.version, code, POLICY));
            }
            _ => {}
        }
        self.check_new_answers();
    }

    /// An answer that acknowledges a command must be true of what is durable at
    /// this very moment.
    fn check_new_answers(&mut self) {
        let new: Vec<_> = self.house.answers[self.checked..].to_vec();
        self.checked = self.house.answers.len();
        for (ticket, answer) in new {
            let Answer::Reply { body, sequence, .. } = answer else { continue };
            let Some(sent) = self.sent.iter().find(|sent| sent.tickets.contains(&ticket)) else {
                continue;
            };
            let durable = self.durable(&sent.entity);
            let at = durable.iter().position(|word| *word == sent.word);
            if at.map(|at| at as u64 + 1) != Some(sequence.get()) {
                self.violations.push(format!(
                    "{} was acknowledged at {sequence}, and is durable at {at:?}",
                    sent.word
                ));
            }
            let reply = String::from_utf8(body).expect("text");
            if reply != format!("0 {}", sent.word) {
                self.violations.push(format!("{} was answered {reply}", sent.word));
            }
        }
    }

    /// The words of an entity that are committed, in order.
    fn durable(&self, entity: &str) -> Vec<String> {
        let stored = self.house.store.get(&address(entity));
        let applied = stored.events.values().map(|event| event.body.clone());
        let committed = self.house.committed.iter().flat_map(|(_, items)| items);
        let pending = committed.filter_map(|item| match item {
            stead_model::Item::Outcome(outcome) if outcome.address == address(entity) => {
                Some(outcome.events.iter().map(|event| event.body.clone()))
            }
            _ => None,
        });
        let words = applied.chain(pending.flatten());
        words.map(|word| String::from_utf8(word).expect("text")).collect()
    }

    fn finish(&mut self) {
        self.house.settle();
        self.check_new_answers();
        // Whatever was in doubt is retried until it is answered: a run must end well.
        for at in 0..self.sent.len() {
            let acknowledged = self.sent[at]
                .tickets
                .iter()
                .any(|ticket| matches!(self.house.answer(*ticket), Some(Answer::Reply { .. })));
            for _ in 0..4 {
                if acknowledged && self.random.below(2) == 0 {
                    break;
                }
                let sent = &self.sent[at];
                let request = RequestId::Caller(sent.key.as_str().into());
                let (entity, word) = (sent.entity.clone(), sent.word.clone());
                let ticket = self.house.send(request, false, &entity, "say", &word);
                self.house.settle();
                self.sent[at].tickets.push(ticket);
                self.check_new_answers();
                match self.house.answer(ticket) {
                    Some(Answer::Reply { .. }) => break,
                    other => {
                        let other = format!("{other:?}");
                        if acknowledged || !other.contains("Unreadable") {
                            self.violations.push(format!("{word} ends with {other}"));
                        }
                        self.house.now = self.house.now.plus_ms(60);
                    }
                }
            }
        }
        self.check_end();
    }

    fn check_end(&mut self) {
        for entity in 0..8 {
            let entity = entity.to_string();
            let words = self.durable(&entity);
            for sent in self.sent.iter().filter(|sent| sent.entity == entity) {
                let times = words.iter().filter(|word| **word == sent.word).count();
                if times != 1 {
                    self.violations.push(format!("{} is there {times} times", sent.word));
                }
            }
            let shown = self.house.query(&entity);
            self.house.settle();
            let expected = format!("0 {}", words.last().map_or("", String::as_str));
            match self.house.answer(shown) {
                Some(Answer::QueryReply(body)) if *body == expected.as_bytes() => {}
                other => self.violations.push(format!("{entity} shows {other:?}, not {expected}")),
            }
        }
        for (entity, ticket, sent_before) in std::mem::take(&mut self.queries) {
            let Some(Answer::QueryReply(body)) = self.house.answer(ticket) else { continue };
            let reply = String::from_utf8(body.clone()).expect("text");
            let word = reply.trim_start_matches("0 ");
            let known = self.sent.iter().take(sent_before).any(|sent| sent.word == word);
            if word.is_empty() {
                continue;
            }
            if !known || !self.durable(&entity).contains(&word.to_owned()) {
                self.violations.push(format!("a query of {entity} saw {word}, which never was"));
            }
        }
    }
}

fn run(seed: u64, planted: Option<PlantedBug>, steps: u32) -> Run {
    let mut run = Run::new(seed, planted);
    for _ in 0..steps {
        run.step();
    }
    run.finish();
    run
}

/// `STEAD_ENGINE_SEEDS` sets how many seeds are run.
#[test]
fn every_acknowledged_command_is_there_exactly_once_whatever_happens() {
    let seeds = setting("STEAD_ENGINE_SEEDS", 300);
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    let mut commands = 0;
    for seed in 0..seeds {
        let run = run(seed, None, 600);
        assert_eq!(run.violations, Vec::<String>::new(), "seed {seed}");
        commands += run.sent.len();
        for (fault, count) in run.faults {
            *faults.entry(fault).or_default() += count;
        }
    }
    println!("{seeds} seeds, {commands} commands, faults {faults:?}");
    for fault in ["trap", "refused", "full disk", "crash", "deployment"] {
        assert!(faults.contains_key(fault), "no {fault} was injected");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        let (one, two) = (run(seed, None, 400), run(seed, None, 400));
        assert_eq!(one.house.answers, two.house.answers, "seed {seed}");
    }
}

#[track_caller]
fn found(bug: PlantedBug) {
    let seeds = 200;
    let first = (0..seeds).find(|seed| {
        let attempt = std::panic::AssertUnwindSafe(|| run(*seed, Some(bug), 400).violations);
        // An assertion of the engine or the store finds it as well as the check does.
        std::panic::catch_unwind(attempt).map_or(true, |violations| !violations.is_empty())
    });
    match first {
        Some(seed) => println!("{bug:?} was found by seed {seed}"),
        None => panic!("{bug:?} was not found in {seeds} seeds"),
    }
}

#[test]
fn answers_before_commit_are_found() {
    found(PlantedBug::AnswersBeforeCommit);
}

#[test]
fn ignored_request_ids_are_found() {
    found(PlantedBug::RequestIdsIgnored);
}

#[test]
fn activations_that_survive_failed_appends_are_found() {
    found(PlantedBug::ActivationsSurviveFailedAppends);
}
