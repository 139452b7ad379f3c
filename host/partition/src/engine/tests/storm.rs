//! Everything that can happen to an engine, at random, checked at each step
//! against [`History`]: what is committed must be what one command after the
//! other would give, and what is answered must be true of what is committed.

use std::collections::BTreeMap;

use stead_model::{Address, Item, RequestId, TimestampMs};

use super::{
    guests::Code,
    history::History,
    house::{House, address, deployment},
    random::{Random, setting},
};
use crate::{
    Answer, AppendFailure, Deployment, EngineConfig, Input, PlantedBug, Ticket,
    engine::{entities::Phase, instances::InstanceId},
};

const MANIFESTS: [&str; 4] = [
    r#"{"type":"thing","snapshot":{"every-events":5,"every-bytes":0}}"#,
    r#"{"type":"thing","snapshot":{"every-events":3,"every-bytes":0},
        "retention":{"events-behind-snapshot":2}}"#,
    r#"{"type":"thing","isolation":"entity","snapshot":{"every-events":8,"every-bytes":0}}"#,
    r#"{"type":"thing","snapshot":{"every-events":0,"every-bytes":12},
        "retention":{"events-behind-snapshot":0}}"#,
];
const ENTITIES: u64 = 9;

fn config(planted: Option<PlantedBug>) -> EngineConfig {
    EngineConfig {
        entity_waiting_max: 8,
        waiting_max: 24,
        held_max: 24,
        batch_items_max: 4,
        in_flight_max: 3,
        live_max: 5,
        idle_ms_max: 3_000,
        replay_events: 3,
        replays_max: 2,
        unreadable_retry_ms: 50,
        quarantine_ms: 200,
        memory_bytes_max: 4_000,
        planted,
        ..EngineConfig::default()
    }
}

/// What was asked, and what the asker may count on.
enum Asked {
    Command { address: Address, request: RequestId, since: usize },
    Query { address: Address, since: usize },
    Snapshot { address: Address },
    Inspection,
}

/// What a version does depends on its number alone.
fn version(number: u32) -> Deployment<Code> {
    let mut random = Random(u64::from(number));
    let format = random.below(3) as u8;
    let sound = Code { formats: vec![format], ..Code::default() };
    let code = match random.below(12) {
        0 => Code { restore_traps: true, ..sound },
        1 => Code { snapshot_traps: true, ..sound },
        2 => Code { lying: true, ..sound },
        3 => Code { cannot_apply: Some("7"), ..sound },
        4 => Code { traps_on: Some("3"), ..sound },
        5 | 6 => Code { formats: vec![0, 1, 2], ..sound },
        _ => sound,
    };
    let manifest = MANIFESTS[random.below(MANIFESTS.len() as u64) as usize];
    deployment(number, code, manifest)
}

struct Storm {
    house: House,
    random: Random,
    history: History,
    asked: BTreeMap<Ticket, Asked>,
    /// Commands under keys of callers, for retries.
    sent: Vec<(RequestId, String, &'static str, String)>,
    checked: usize,
    version: u32,
    serial: u64,
    violations: Vec<String>,
    happened: BTreeMap<&'static str, u64>,
}

impl Storm {
    fn new(seed: u64, planted: Option<PlantedBug>) -> Self {
        let mut house = House::new(config(planted));
        house.deploy(version(1));
        Self {
            house,
            random: Random(seed),
            history: History::default(),
            asked: BTreeMap::new(),
            sent: vec![],
            checked: 0,
            version: 1,
            serial: 0,
            violations: vec![],
            happened: BTreeMap::new(),
        }
    }

    fn happens(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    fn step(&mut self) {
        let id = self.random.below(ENTITIES).to_string();
        match self.random.below(100) {
            0..34 => self.command(id),
            34..42 => self.retry(),
            42..50 => self.query(id),
            50..64 => {
                self.house.turn();
            }
            64..76 => self.commit(),
            76..86 => {
                self.house.apply_one();
            }
            86..90 => self.time_passes(),
            90 => {
                self.house.tickets += 1;
                let (ticket, address) = (Ticket(self.house.tickets), address(&id));
                self.asked.insert(ticket, Asked::Snapshot { address: address.clone() });
                self.house.input(Input::TakeSnapshot { ticket, address });
            }
            91 => {
                self.house.tickets += 1;
                let (ticket, address) = (Ticket(self.house.tickets), address(&id));
                self.asked.insert(ticket, Asked::Inspection);
                self.house.input(Input::Inspect { ticket, address });
            }
            92 | 93 => self.deploy(),
            94 => self.fail(),
            95 if self.random.one_in(2) => self.crash(),
            96 if self.random.one_in(3) => {
                self.happens("store unreadable");
                self.house.store.damaged.replace_with(|damaged| !*damaged);
            }
            97 if self.random.one_in(3) => {
                self.happens("no instances");
                let mut calls = self.house.natives.calls.borrow_mut();
                calls.no_instances = !calls.no_instances;
            }
            98 if self.random.one_in(4) => {
                self.settle();
                self.nobody_waits();
            }
            _ => {}
        }
        self.check_answers();
        self.check_counts();
    }

    fn command(&mut self, id: String) {
        self.serial += 1;
        let (name, body) = match self.random.below(40) {
            0..20 => ("say", format!("w{}", self.serial)),
            20..28 => ("add", (self.serial % 10).to_string()),
            28..30 => ("many", self.random.below(12).to_string()),
            30..32 => ("nothing", String::new()),
            32 | 33 => ("no", String::new()),
            34 => ("end", String::new()),
            35 => ("purge", String::new()),
            36 => ("effect", String::new()),
            37 => ("refuse", String::new()),
            _ => ("trap", String::new()),
        };
        self.happens(name);
        let fresh = self.random.one_in(3);
        let request = if fresh {
            RequestId::Minted(u128::from(self.serial))
        } else {
            let request = RequestId::Caller(format!("k{}", self.serial).into());
            self.sent.push((request.clone(), id.clone(), name, body.clone()));
            request
        };
        self.send(request, fresh, &id, name, &body);
    }

    fn retry(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        self.happens("retry");
        let recent = self.sent.len().saturating_sub(15);
        let (request, id, name, body) = self.random.of(&self.sent[recent..]).clone();
        self.send(request, false, &id, name, &body);
    }

    fn send(
        &mut self,
        request: RequestId,
        fresh: bool,
        id: &str,
        name: &str,
        body: &str,
    ) -> Ticket {
        let address = address(id);
        let since = self.history.states(&address);
        // It may be answered before `send` returns.
        let ticket = Ticket(self.house.tickets + 1);
        self.asked.insert(ticket, Asked::Command { address, request: request.clone(), since });
        self.house.send(request, fresh, id, name, body)
    }

    fn query(&mut self, id: String) {
        let address = address(&id);
        let since = self.history.states(&address);
        let ticket = self.house.query(&id);
        self.asked.insert(ticket, Asked::Query { address, since });
    }

    fn commit(&mut self) {
        if let Some((_, items)) = self.house.log.front() {
            let items = items.clone();
            self.durable(&items);
            self.house.commit_one();
        }
    }

    fn durable(&mut self, items: &[Item]) {
        if let Err(wrong) = self.history.commit(items) {
            self.violations.push(wrong);
        }
    }

    fn time_passes(&mut self) {
        let ms = match self.random.below(40) {
            0 => 61_000,
            1..4 => 4_000,
            4..8 => 1_000,
            _ => self.random.below(100),
        };
        self.house.now = self.house.now.plus_ms(ms);
    }

    fn deploy(&mut self) {
        if self.random.one_in(6) {
            self.happens("undeployment");
            self.house.undeploy("thing");
            return;
        }
        self.happens("deployment");
        // Sometimes an earlier version is put back.
        self.version = match self.random.below(4) {
            0 => self.version.saturating_sub(1).max(1),
            _ => self.version + 1,
        };
        self.house.deploy(version(self.version));
    }

    fn fail(&mut self) {
        if self.house.log.is_empty() {
            return;
        }
        if self.random.one_in(2) {
            self.happens("full disk");
            // What was first in flight may yet be written.
            if self.random.one_in(2) {
                self.commit();
            }
            return self.house.fail(AppendFailure::Full("full".into()));
        }
        self.happens("lost log");
        let from = self.house.log.front().map(|(batch, _)| *batch).expect("it is not empty");
        let failure = AppendFailure::Lost("lost".into());
        self.house.input(Input::AppendFailed { from, failure });
        self.check_answers();
        // Another leader may find some of it in its log, and commit it.
        for _ in 0..self.random.below(self.house.log.len() as u64 + 1) {
            let Some((batch, items)) = self.house.log.pop_front() else { break };
            self.durable(&items);
            self.house.committed.push_back((batch, items));
        }
        self.restart();
    }

    fn crash(&mut self) {
        self.happens("crash");
        self.restart();
    }

    fn restart(&mut self) {
        self.check_answers();
        self.asked.clear();
        self.house.restart();
    }

    fn settle(&mut self) {
        for _ in 0..100_000 {
            let more = self.house.turn();
            let log = self.house.log.len();
            self.commit();
            if log == 0 && !self.house.apply_one() && !more {
                return;
            }
        }
        panic!("it never settles");
    }

    fn nobody_waits(&mut self) {
        self.check_answers();
        let waiting = self.house.engine.counters(&self.house.natives).waiting;
        assert_eq!(self.house.engine.batches.remembered(), 0, "all is in the store");
        if waiting > 0 || !self.asked.is_empty() {
            let asked = self.asked.len();
            self.violations.push(format!("{waiting} wait, {asked} have no answer, for nothing"));
        }
    }

    fn check_counts(&mut self) {
        let engine = &mut self.house.engine;
        let (mut live, mut waiting) = (0, 0);
        for (_, entity) in engine.entities.iter_mut() {
            live += usize::from(matches!(entity.phase, Phase::Live { .. }));
            waiting += entity.waiting_len();
        }
        assert_eq!((engine.live, engine.waiting), (live, waiting));
        self.check_instances();
        let engine = &self.house.engine;
        assert!(waiting <= engine.config.waiting_max);
        assert!(engine.batches.held() <= engine.config.held_max + engine.config.batch_items_max);
    }

    /// Every instance, and every handle in it, is somebody's.
    fn check_instances(&mut self) {
        let engine = &mut self.house.engine;
        let mut handles: BTreeMap<InstanceId, usize> = BTreeMap::new();
        for (_, entity) in engine.entities.iter_mut() {
            match &entity.phase {
                Phase::Live { instance, .. } => *handles.entry(*instance).or_default() += 1,
                Phase::Replaying(replay) => *handles.entry(replay.instance).or_default() += 1,
                Phase::Down | Phase::Empty | Phase::Queued | Phase::Unreadable(_) => {}
            }
        }
        let scratch = engine.audit.as_ref().and_then(|audit| audit.scratch_instance());
        for (id, instance, own) in engine.instances.all() {
            let expected = handles.get(&id).copied().unwrap_or_default();
            if scratch != Some(id) {
                assert_eq!(instance.held(), expected, "handles in {id:?}");
                assert!(!own || expected == 1, "{id:?} is nobody's");
            }
        }
    }

    fn check_answers(&mut self) {
        let new = self.house.answers[self.checked..].to_vec();
        self.checked = self.house.answers.len();
        for (ticket, answer) in new {
            let Some(asked) = self.asked.remove(&ticket) else {
                self.violations.push(format!("{ticket:?} was answered twice: {answer:?}"));
                continue;
            };
            if let Err(wrong) = self.check(&asked, &answer) {
                self.violations.push(wrong);
            }
        }
    }

    fn check(&self, asked: &Asked, answer: &Answer) -> Result<(), String> {
        let history = &self.history;
        match (asked, answer) {
            (Asked::Command { address, request, since }, answer) => {
                let recorded = history.reply(address, request);
                match (answer, recorded) {
                    (Answer::Reply { body, sequence, .. }, Some((reply, at))) => {
                        if (body, sequence.get()) == (reply, *at) {
                            return Ok(());
                        }
                        Err(format!("{address} {request}: {body:?} and not {reply:?}"))
                    }
                    // It did nothing, so it is not recorded: it may have seen only
                    // what was durable.
                    (Answer::Reply { body, .. }, None)
                        if matches!(request, RequestId::Minted(_))
                            && history.was(address, body, *since) =>
                    {
                        Ok(())
                    }
                    (Answer::Reply { .. }, None) => {
                        Err(format!("{address} {request}: {answer:?} is not recorded"))
                    }
                    (Answer::DiskFull(_) | Answer::Rejected(_) | Answer::KeyReused, Some(_)) => {
                        Err(format!("{address} {request}: {answer:?}, but it is recorded"))
                    }
                    (_, _) => Ok(()),
                }
            }
            (Asked::Query { address, since }, Answer::QueryReply(body)) => {
                if history.was(address, body, *since) {
                    return Ok(());
                }
                let body = String::from_utf8_lossy(body);
                Err(format!("a query of {address} saw {body:?}, which is not durable"))
            }
            (Asked::Snapshot { address }, Answer::SnapshotStored(sequence)) => {
                if history.has_snapshot(address, sequence.get()) {
                    return Ok(());
                }
                Err(format!("{address}: the snapshot at {sequence} is not durable"))
            }
            (_, _) => Ok(()),
        }
    }

    /// When all is well again, everybody is answered, and everything is there.
    fn finish(&mut self) {
        *self.house.store.damaged.borrow_mut() = false;
        self.house.natives.calls.borrow_mut().no_instances = false;
        let well = Code { formats: vec![0, 1, 2], ..Code::default() };
        self.house.deploy(deployment(self.version + 1, well, MANIFESTS[0]));
        self.house.now = self.house.now.plus_ms(1_000);
        self.settle();
        self.nobody_waits();
        let retried = std::mem::take(&mut self.sent);
        for (request, id, name, body) in retried {
            let recorded = self.history.reply(&address(&id), &request).is_some();
            if matches!(name, "trap" | "refuse" | "no") {
                if recorded {
                    self.violations.push(format!("{name} under {request} was recorded"));
                }
                continue;
            }
            let ticket = self.send(request.clone(), false, &id, name, &body);
            self.settle();
            self.check_answers();
            if !matches!(self.house.answer(ticket), Some(Answer::Reply { .. })) {
                let answer = self.house.answer(ticket);
                self.violations.push(format!("{name} under {request} ends with {answer:?}"));
            }
        }
        self.nobody_waits();
        self.check_states();
        self.check_all_goes();
    }

    /// Twice: as it is in memory, and as it is replayed.
    fn check_states(&mut self) {
        for _ in 0..2 {
            for address in self.history.addresses().cloned().collect::<Vec<_>>() {
                let (state, last) = self.history.state(&address);
                let ticket = self.house.query(address.id.as_str());
                self.settle();
                match self.house.answer(ticket) {
                    Some(Answer::QueryReply(body)) if body == state.as_bytes() => {}
                    other => self.violations.push(format!("{address}: {other:?}, not {state}")),
                }
                let stored = self.house.store.get(&address).last;
                if stored != last {
                    self.violations.push(format!("{address}: {stored} events, not {last}"));
                }
            }
            self.checked = self.house.answers.len();
            self.house.restart();
        }
    }

    /// Nothing stays behind when all entities are let go.
    fn check_all_goes(&mut self) {
        self.house.now = TimestampMs(self.house.now.get() + 100_000);
        self.settle();
        let engine = &mut self.house.engine;
        assert_eq!(engine.entities.iter_mut().count(), 0);
        assert!(engine.is_idle());
        let instances = self.house.natives.calls().instances;
        if instances > 1 {
            self.violations.push(format!("{instances} instances are left, for nobody"));
        }
    }
}

fn run(seed: u64, planted: Option<PlantedBug>, steps: u64) -> Storm {
    let mut storm = Storm::new(seed, planted);
    for _ in 0..steps {
        storm.step();
        // What follows a violation tells nothing more.
        if !storm.violations.is_empty() {
            return storm;
        }
    }
    storm.finish();
    storm
}

/// `STEAD_ENGINE_STORMS` sets how many seeds are run.
#[test]
fn what_is_answered_is_true_and_all_ends_well() {
    let mut happened: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut outcomes, mut snapshots) = (0, 0);
    let storms = setting("STEAD_ENGINE_STORMS", 300);
    for seed in 0..storms {
        let storm = std::panic::catch_unwind(|| run(seed, None, 1_000));
        let storm = storm.unwrap_or_else(|_| panic!("seed {seed}"));
        assert_eq!(storm.violations, Vec::<String>::new(), "seed {seed}");
        outcomes += storm.history.outcomes;
        snapshots += storm.history.snapshots;
        for (what, count) in storm.happened {
            *happened.entry(what).or_default() += count;
        }
    }
    println!("{storms} storms, {outcomes} outcomes, {snapshots} snapshots, {happened:?}");
    let wanted = [
        "trap",
        "refuse",
        "no",
        "end",
        "purge",
        "retry",
        "full disk",
        "lost log",
        "crash",
        "deployment",
        "undeployment",
        "store unreadable",
        "no instances",
    ];
    for what in wanted {
        assert!(happened.contains_key(what), "no {what} in any storm");
    }
    assert!(snapshots > 0);
}

#[test]
fn the_same_seed_is_the_same_storm() {
    for seed in 0..20 {
        let (one, two) = (run(seed, None, 500), run(seed, None, 500));
        assert_eq!(one.house.effects, two.house.effects, "seed {seed}");
        assert!(one.house.effects.len() > 100);
    }
}

#[track_caller]
fn found(bug: PlantedBug) {
    let first = (0..300).find(|seed| {
        let attempt = || run(*seed, Some(bug), 1_000).violations;
        // An assertion of the engine or the store finds it as well as a check does.
        std::panic::catch_unwind(attempt).map_or(true, |violations| !violations.is_empty())
    });
    match first {
        Some(seed) => println!("{bug:?} was found by seed {seed}"),
        None => panic!("{bug:?} was not found"),
    }
}

#[test]
fn each_planted_bug_is_found() {
    found(PlantedBug::AnswersBeforeCommit);
    found(PlantedBug::RequestIdsIgnored);
    found(PlantedBug::ActivationsSurviveFailedAppends);
    found(PlantedBug::QueriesBeforeCommit);
    found(PlantedBug::StoreReadTooSoon);
    found(PlantedBug::SnapshotsUnchecked);
}
