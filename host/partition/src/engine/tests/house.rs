//! An engine with a log and a store around it, whose speed the test decides.

use std::{collections::VecDeque, sync::Arc};

use stead_model::{
    Address, Description, Item, Manifest, Operation, RequestId, TimestampMs, TypeVersion,
};

use super::{
    guests::{Code, Natives},
    store::Memory,
};
use crate::{
    Answer, AppendFailure, BatchNumber, Command, Deployment, Effect, Engine, EngineConfig, Input,
    Query, Ticket,
};

pub struct House {
    pub engine: Engine<Natives>,
    pub natives: Natives,
    pub store: Memory,
    pub now: TimestampMs,
    pub answers: Vec<(Ticket, Answer)>,
    /// All that the engine wanted done.
    pub effects: Vec<Effect>,
    /// Appended, not committed.
    pub log: VecDeque<(BatchNumber, Vec<Item>)>,
    /// Committed, not applied.
    pub committed: VecDeque<(BatchNumber, Vec<Item>)>,
    pub tickets: u64,
    pub last_batch: BatchNumber,
    config: EngineConfig,
    deployed: Vec<Deployment<Code>>,
}

pub fn address(id: &str) -> Address {
    format!("thing/{id}").parse().expect("an address")
}

pub fn deployment(version: u32, code: Code, manifest: &str) -> Deployment<Code> {
    let operation = |name: &str| Operation {
        name: name.into(),
        summary: String::new(),
        request_type: String::new(),
        request_schema: None,
        reply_type: String::new(),
        reply_schema: None,
    };
    let commands = [
        "add", "say", "many", "nothing", "no", "end", "purge", "effect", "trap", "refuse", "cheat",
    ];
    let description = Description {
        commands: commands.map(operation).into(),
        queries: vec![operation("show")],
        ..Description::default()
    };
    let manifest: Manifest = serde_json::from_str(manifest).expect("a manifest");
    Deployment {
        entity_type: manifest.entity_type.clone(),
        version: TypeVersion(version),
        component: code,
        description: Arc::new(description),
        manifest: Arc::new(manifest),
    }
}

pub const EVERY_10: &str = r#"{"type":"thing","snapshot":{"every-events":10,"every-bytes":0}}"#;
pub const NEVER: &str = r#"{"type":"thing","snapshot":{"every-events":0,"every-bytes":0}}"#;

impl House {
    pub fn new(config: EngineConfig) -> Self {
        let mut house = Self {
            engine: Engine::new(config.clone()),
            natives: Natives::default(),
            store: Memory::default(),
            now: TimestampMs(1_000_000),
            answers: vec![],
            effects: vec![],
            log: VecDeque::new(),
            committed: VecDeque::new(),
            tickets: 0,
            last_batch: BatchNumber(0),
            config,
            deployed: vec![],
        };
        house.deploy(deployment(1, Code::sound(), NEVER));
        house
    }

    pub fn plain() -> Self {
        Self::new(EngineConfig::default())
    }

    pub fn deploy(&mut self, deployment: Deployment<Code>) {
        self.deployed.retain(|known| known.entity_type != deployment.entity_type);
        self.deployed.push(deployment.clone());
        self.input(Input::Deploy(deployment));
    }

    pub fn undeploy(&mut self, entity_type: &str) {
        self.deployed.retain(|known| known.entity_type.as_str() != entity_type);
        self.input(Input::Undeploy(entity_type.parse().expect("a type")));
    }

    pub fn input(&mut self, input: Input<Code>) {
        let mut effects = vec![];
        self.engine.step(input, self.now, &mut self.natives, &self.store, &mut effects);
        self.perform(effects);
    }

    /// One turn; whether the engine wants another.
    pub fn turn(&mut self) -> bool {
        let mut effects = vec![];
        let more = self.engine.turn(self.now, &mut self.natives, &self.store, &mut effects);
        self.perform(effects);
        more
    }

    pub fn turns(&mut self) {
        for _ in 0..10_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("the engine never rests");
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        self.effects.extend_from_slice(&effects);
        for effect in effects {
            match effect {
                Effect::Append { batch, items, .. } => {
                    assert!(batch > self.last_batch, "batches are numbered upwards");
                    assert!(!items.is_empty());
                    self.last_batch = batch;
                    self.log.push_back((batch, items));
                }
                Effect::Answer { ticket, answer } => self.answers.push((ticket, answer)),
                Effect::ApplySoon => {}
            }
        }
    }

    pub fn command(&mut self, id: &str, name: &str, body: &str) -> Ticket {
        let key = format!("key-{}", self.tickets);
        self.command_under(&key, id, name, body)
    }

    pub fn command_under(&mut self, key: &str, id: &str, name: &str, body: &str) -> Ticket {
        self.send(RequestId::Caller(key.into()), false, id, name, body)
    }

    pub fn send(
        &mut self,
        request: RequestId,
        fresh: bool,
        id: &str,
        name: &str,
        body: &str,
    ) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.input(Input::Command(Command {
            ticket,
            address: address(id),
            name: name.into(),
            body: body.as_bytes().into(),
            request,
            fresh,
            deadline: self.now.plus_ms(60_000),
        }));
        ticket
    }

    pub fn query(&mut self, id: &str) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.input(Input::Query(Query {
            ticket,
            address: address(id),
            name: "show".into(),
            body: Arc::from([]),
            deadline: self.now.plus_ms(60_000),
        }));
        ticket
    }

    /// The oldest batch in the log is durable.
    pub fn commit_one(&mut self) -> bool {
        let Some((batch, items)) = self.log.pop_front() else { return false };
        self.committed.push_back((batch, items));
        self.input(Input::Committed { through: batch });
        true
    }

    /// The store shows the oldest committed batch.
    pub fn apply_one(&mut self) -> bool {
        let Some((batch, items)) = self.committed.pop_front() else { return false };
        self.store.apply(&items);
        self.input(Input::Applied { through: batch });
        true
    }

    /// The log takes nothing of what is in flight.
    pub fn fail(&mut self, failure: AppendFailure) {
        if let Some((from, _)) = self.log.front().cloned() {
            self.log.clear();
            self.input(Input::AppendFailed { from, failure });
        }
    }

    /// Until nothing is under way.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            let more = self.turn();
            if !self.commit_one() && !self.apply_one() && !more {
                return;
            }
        }
        panic!("it never settles");
    }

    /// The node is killed: what is durable stays, the rest is gone.
    pub fn restart(&mut self) {
        while let Some((_, items)) = self.committed.pop_front() {
            self.store.apply(&items);
        }
        self.log.clear();
        self.last_batch = BatchNumber(0);
        self.engine = Engine::new(self.config.clone());
        for deployment in self.deployed.clone() {
            self.input(Input::Deploy(deployment));
        }
    }

    pub fn answer(&self, ticket: Ticket) -> Option<&Answer> {
        let mut found = self.answers.iter().filter(|(whose, _)| *whose == ticket);
        let answer = found.next().map(|(_, answer)| answer);
        assert!(found.next().is_none(), "{ticket:?} was answered twice");
        answer
    }

    #[track_caller]
    pub fn reply(&self, ticket: Ticket) -> String {
        match self.answer(ticket) {
            Some(Answer::Reply { body, .. } | Answer::QueryReply(body)) => {
                String::from_utf8(body.clone()).expect("text")
            }
            other => panic!("{ticket:?}: {other:?}"),
        }
    }

    /// Sends a command and waits for all that comes of it.
    #[track_caller]
    pub fn done(&mut self, id: &str, name: &str, body: &str) -> String {
        let ticket = self.command(id, name, body);
        self.settle();
        self.reply(ticket)
    }

    #[track_caller]
    pub fn shown(&mut self, id: &str) -> String {
        let ticket = self.query(id);
        self.settle();
        self.reply(ticket)
    }
}
