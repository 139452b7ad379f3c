//! Callers outside the cluster: each does one thing after the other, at whichever
//! node it reaches, and tries again under the same request id until it has an answer.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use stead_model::{Address, RequestId};

use crate::{
    faults::{Fault, Faults},
    model::{TRAP, TYPE},
    network::Machine,
    node::Node,
    properties::{Properties, Seen},
    random::Random,
    routing,
    talk::{CallError, Reply},
};

/// How much longer than the node's own patience a caller waits for it.
const GRACE_MS: u64 = 300;
/// Tries of last words are counted from here, so that none is taken for another.
const LAST: u64 = 1 << 32;
/// The longest pause between tries.
const PAUSE_MS_MAX: u64 = 400;

/// Something that is asked.
#[derive(Clone)]
pub struct Operation {
    /// Its number in the run.
    pub id: u64,
    /// Of which entity.
    pub address: Address,
    /// The command; empty for a query.
    pub name: Arc<str>,
    /// The command's argument.
    pub body: String,
    /// The command's id.
    pub request: Option<RequestId>,
    /// Whether that was minted by the node that took it: then it can't be tried again.
    pub minted: bool,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.name.is_empty() { "show" } else { &self.name };
        write!(f, "operation {} ({} {what} {})", self.id, self.address, self.body)
    }
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// A command's reply.
    Reply(Reply),
    /// What a query showed, or a rejection.
    Shown(String),
    /// Nobody knows, and it isn't tried again.
    Unknown,
}

impl Answered {
    /// The reply, if the outcome was recorded.
    pub fn recorded(&self) -> Option<&[u8]> {
        match self {
            Self::Reply(reply) if reply.recorded => Some(&reply.body),
            Self::Reply(_) | Self::Shown(_) | Self::Unknown => None,
        }
    }

    /// The state that it speaks of, if nothing was recorded.
    pub fn shown(&self) -> Option<&str> {
        match self {
            Self::Reply(reply) if reply.recorded => None,
            Self::Reply(reply) => std::str::from_utf8(&reply.body).ok(),
            Self::Shown(shown) => Some(shown),
            Self::Unknown => None,
        }
    }
}

type Result = std::result::Result<Answered, CallError>;
/// Answers that came back: whose, to which try, and what.
type Mailbox = Arc<Mutex<Vec<(usize, u64, Result)>>>;

enum Doing {
    /// Until then nothing.
    Resting(u64),
    /// This, which begins or is tried again then.
    About(u64, Operation),
    /// A try is under way at a machine, and given up then.
    Waiting {
        at: Machine,
        until: u64,
        operation: Operation,
    },
    Finished,
}

/// All callers of a run.
pub struct Clients {
    doing: Vec<Doing>,
    random: Random,
    entities: Vec<Address>,
    mailbox: Mailbox,
    tries: Vec<u64>,
    operations: u64,
    faults: Faults,
    /// No new operations are begun.
    pub ending: bool,
    /// Commands that were acknowledged, to be looked up in the end.
    pub acknowledged: Vec<Operation>,
    /// Operations that were answered.
    pub answered: u64,
    /// Tries that were not.
    pub retried: u64,
}

/// How a caller reaches a node.
pub trait Reach {
    /// A machine that something runs on, by chance.
    fn any(&self, random: &mut Random) -> Option<Machine>;

    /// The node on a machine, if one runs there, and its way to have something done.
    fn node(&self, machine: Machine) -> Option<&Arc<Node>>;

    /// Has something done by a machine's node.
    fn spawn(&self, machine: Machine, task: futures::future::BoxFuture<'static, ()>);
}

impl Clients {
    /// So many callers of so many entities.
    pub fn new(mut random: Random, clients: usize, entities: u64, faults: Faults) -> Self {
        let entities = (0..entities)
            .map(|nth| format!("{TYPE}/e{nth}").parse().expect("an address"))
            .collect();
        let doing = (0..clients).map(|_| Doing::Resting(random.below(500))).collect();
        Self {
            doing,
            random,
            entities,
            mailbox: Mailbox::default(),
            tries: vec![0; clients],
            operations: 0,
            faults,
            ending: false,
            acknowledged: Vec::new(),
            answered: 0,
            retried: 0,
        }
    }

    /// The entities that are called.
    pub fn entities(&self) -> &[Address] {
        &self.entities
    }

    /// Whether no operation is under way.
    pub fn are_done(&self) -> bool {
        self.doing.iter().all(|doing| matches!(doing, Doing::Resting(_) | Doing::Finished))
    }

    /// What is under way, for a report.
    pub fn under_way(&self) -> Vec<String> {
        let about = |doing: &Doing| match doing {
            Doing::About(_, operation) | Doing::Waiting { operation, .. } => {
                Some(format!("{operation:?}"))
            }
            Doing::Resting(_) | Doing::Finished => None,
        };
        self.doing.iter().filter_map(about).collect()
    }

    fn operation(&mut self) -> Operation {
        self.operations += 1;
        let id = self.operations;
        let address = self.random.of(&self.entities).expect("there are entities");
        let name = match self.random.below(20) {
            0..9 => "put",
            9..12 => "many",
            12 => "look",
            13 => "refuse",
            14 if self.random.one_in(3) => "end",
            14 if self.random.one_in(2) => "purge",
            15 if self.random.one_in(3) => TRAP,
            _ => "",
        };
        let minted = !name.is_empty() && self.random.one_in(5);
        let request =
            (!name.is_empty() && !minted).then(|| RequestId::Caller(format!("k{id}").into()));
        Operation { id, address, name: name.into(), body: format!("w{id}"), request, minted }
    }

    /// A last write to each entity, and a query: when all is well, they are answered.
    pub fn last_words(&mut self, now: u64) {
        self.doing.clear();
        self.tries.clear();
        for address in self.entities.clone() {
            for name in ["put", ""] {
                self.operations += 1;
                let id = self.operations;
                let request =
                    (!name.is_empty()).then(|| RequestId::Caller(format!("k{id}").into()));
                let operation = Operation {
                    id,
                    address: address.clone(),
                    name: name.into(),
                    body: format!("w{id}"),
                    request,
                    minted: false,
                };
                self.doing.push(Doing::About(now + self.random.below(100), operation));
                self.tries.push(LAST);
            }
        }
    }

    /// One more millisecond has passed.
    pub fn tick(&mut self, now: u64, reach: &impl Reach, properties: &mut Properties) {
        let mailbox = Arc::clone(&self.mailbox);
        let came = std::mem::take(&mut *mailbox.lock().unwrap_or_else(PoisonError::into_inner));
        for (client, attempt, result) in came {
            self.came(now, client, attempt, result, properties);
        }
        for client in 0..self.doing.len() {
            let Some(doing) = self.doing.get_mut(client) else { continue };
            match doing {
                Doing::Resting(_) if self.ending => *doing = Doing::Finished,
                Doing::Resting(until) if *until <= now => {
                    let operation = self.operation();
                    self.try_it(now, client, operation, true, reach, properties);
                }
                Doing::About(when, operation) if *when <= now => {
                    let operation = operation.clone();
                    let first = self.tries.get(client).is_some_and(|tries| *tries == LAST);
                    self.try_it(now, client, operation, first, reach, properties);
                }
                Doing::Waiting { at, until, operation } => {
                    // A connection to what crashed breaks.
                    if *until <= now || reach.node(*at).is_none() {
                        let operation = operation.clone();
                        self.unknown(now, client, operation, properties);
                    }
                }
                Doing::Resting(_) | Doing::About(..) | Doing::Finished => {}
            }
        }
    }

    fn set(&mut self, client: usize, to: Doing) {
        if let Some(doing) = self.doing.get_mut(client) {
            *doing = to;
        }
    }

    fn came(
        &mut self,
        now: u64,
        client: usize,
        attempt: u64,
        result: Result,
        properties: &mut Properties,
    ) {
        if self.tries.get(client) != Some(&attempt) {
            return;
        }
        let Some(Doing::Waiting { operation, .. }) = self.doing.get(client) else { return };
        let operation = operation.clone();
        match result {
            Ok(answer) => self.answer(now, client, &operation, answer, properties),
            Err(CallError::Rejected(rejection)) => {
                let answer = Answered::Shown(rejection.message);
                self.answer(now, client, &operation, answer, properties);
            }
            Err(CallError::Trapped) if &*operation.name == TRAP => {
                self.faults.count(Fault::Trapped);
                self.answer(now, client, &operation, Answered::Unknown, properties);
            }
            Err(CallError::Trapped) => {
                properties.fail("a trap fails only its own call", format!("{operation:?}"));
                self.answer(now, client, &operation, Answered::Unknown, properties);
            }
            Err(CallError::Other(what)) => {
                properties.fail("no call goes wrong", format!("{operation:?}: {what}"));
                self.answer(now, client, &operation, Answered::Unknown, properties);
            }
            Err(CallError::Unavailable(_) | CallError::OutcomeUnknown(_)) => {
                self.unknown(now, client, operation, properties);
            }
        }
    }

    fn answer(
        &mut self,
        now: u64,
        client: usize,
        operation: &Operation,
        answer: Answered,
        properties: &mut Properties,
    ) {
        if answer != Answered::Unknown {
            self.answered += 1;
            properties.see(&Seen::Answered { operation, answer: &answer });
        }
        if answer.recorded().is_some() {
            self.acknowledged.push(operation.clone());
        }
        let rest = now + 1 + self.random.below(60);
        self.set(client, Doing::Resting(rest));
    }

    /// It isn't known what became of a try: it is made again, if it can be.
    fn unknown(
        &mut self,
        now: u64,
        client: usize,
        operation: Operation,
        properties: &mut Properties,
    ) {
        self.retried += 1;
        if let Some(tries) = self.tries.get_mut(client) {
            *tries += 1;
        }
        if operation.minted {
            return self.answer(now, client, &operation, Answered::Unknown, properties);
        }
        let pause = self.random.below(PAUSE_MS_MAX);
        self.set(client, Doing::About(now + pause, operation));
    }

    fn try_it(
        &mut self,
        now: u64,
        client: usize,
        mut operation: Operation,
        first: bool,
        reach: &impl Reach,
        properties: &mut Properties,
    ) {
        let at = reach.any(&mut self.random);
        let Some((at, node)) = at.and_then(|at| Some((at, reach.node(at)?))) else {
            // Nobody is there to be asked.
            if first {
                self.operations -= 1;
                return self.set(client, Doing::Resting(now + 20));
            }
            return self.set(client, Doing::About(now + 20, operation));
        };
        if first {
            if operation.minted {
                let random = u128::from(self.random.next()) << 64;
                let random = random | u128::from(self.random.next());
                operation.request = Some(RequestId::mint(node.clock.now(), random));
            }
            properties.see(&Seen::Invoked { operation: &operation });
        }
        let patience_ms = self.random.within(500..6_000);
        let attempt = match self.tries.get_mut(client) {
            Some(tries) => {
                *tries += 1;
                *tries
            }
            None => return,
        };
        let (mailbox, node, asked) =
            (Arc::clone(&self.mailbox), Arc::clone(node), operation.clone());
        let patience = Duration::from_millis(patience_ms);
        reach.spawn(
            at,
            Box::pin(async move {
                let result = ask(node, asked, patience).await;
                let mut mailbox = mailbox.lock().unwrap_or_else(PoisonError::into_inner);
                mailbox.push((client, attempt, result));
            }),
        );
        let until = now + patience_ms + GRACE_MS;
        self.set(client, Doing::Waiting { at, until, operation });
    }
}

async fn ask(node: Arc<Node>, operation: Operation, patience: Duration) -> Result {
    let Some(request) = operation.request else {
        let shown = routing::query(node, operation.address, patience).await?;
        return Ok(Answered::Shown(String::from_utf8_lossy(&shown).into_owned()));
    };
    let command = routing::Command {
        address: operation.address,
        name: operation.name,
        body: operation.body.as_bytes().into(),
        request,
        minted: operation.minted,
    };
    Ok(Answered::Reply(routing::command(node, command, patience).await?))
}
