//! The network between machines: messages on their way, and what befalls them.
//!
//! What is sent is on its way at once, and arrives when its time has come. A lane
//! from one machine to another keeps its order, unless a message is told to overtake.
//! Whoever asks waits for an answer that may never come.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use stead_consensus::{Carrier, CarrierError, Lane};
use stead_model::NodeId;
use tokio::sync::oneshot;

use crate::{
    faults::{Fault, Faults},
    random::Random,
    talk::{Ask, Told},
    trace::{Trace, hash},
};

/// A machine, by its place in the rack. What runs on it may change its name.
pub type Machine = usize;

/// What a message says.
#[derive(Clone)]
pub enum Load {
    /// Consensus's, from one node to another.
    Consensus {
        /// Who says it.
        from: NodeId,
        /// Whom it is for: another node may be there by now.
        to: NodeId,
        /// What.
        bytes: Vec<u8>,
    },
    /// A question.
    Ask(Ask),
    /// The answer to either.
    Reply(Said),
}

/// An answer, or that there is none.
#[derive(Debug, Clone)]
pub enum Said {
    /// Consensus's.
    Bytes(Vec<u8>),
    /// An answer to a question.
    Told(Told),
    /// Nobody is there; the message was not delivered.
    Refused,
    /// The connection broke after the message was sent.
    Broken,
}

/// A message on its way.
#[derive(Clone)]
pub struct Packet {
    /// Where it comes from.
    pub from: Machine,
    /// Where it goes.
    pub to: Machine,
    /// Which call it belongs to.
    pub call: u64,
    /// What it says.
    pub load: Load,
}

/// What the network is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// How many messages in a thousand are lost.
    pub lost: u64,
    /// How many are delayed, and by how much at most, in milliseconds.
    pub delayed: u64,
    /// See [`Self::delayed`].
    pub delay_ms_max: u64,
    /// How many arrive twice.
    pub duplicated: u64,
    /// How many overtake others.
    pub reordered: u64,
}

/// The network. Clones are the same one.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

struct Pending {
    from: Machine,
    to: Machine,
    answer: oneshot::Sender<Said>,
}

struct State {
    now: u64,
    random: Random,
    trace: Trace,
    faults: Faults,
    weather: Weather,
    /// By when they arrive, and in which order they were sent.
    packets: BTreeMap<(u64, u64), Packet>,
    sent: u64,
    calls: u64,
    pending: BTreeMap<u64, Pending>,
    /// When the last message of a lane arrives.
    lanes: BTreeMap<(Machine, Machine, u8), u64>,
    cuts: BTreeSet<(Machine, Machine)>,
    down: BTreeSet<Machine>,
    names: BTreeMap<NodeId, Machine>,
}

impl Network {
    /// A network on which nobody is.
    pub fn new(random: Random, trace: Trace, faults: Faults) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: 0,
            random,
            trace,
            faults,
            weather: Weather::default(),
            packets: BTreeMap::new(),
            sent: 0,
            calls: 0,
            pending: BTreeMap::new(),
            lanes: BTreeMap::new(),
            cuts: BTreeSet::new(),
            down: BTreeSet::new(),
            names: BTreeMap::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node runs on a machine from now on.
    pub fn up(&self, machine: Machine, node: NodeId) {
        let mut state = self.state();
        state.down.remove(&machine);
        state.names.retain(|_, at| *at != machine);
        state.names.insert(node, machine);
    }

    /// Nothing runs on a machine from now on. Those who wait for it are told, as far
    /// as they can be.
    pub fn down(&self, machine: Machine) {
        let mut state = self.state();
        state.down.insert(machine);
        // Questions that it had not read go with its connections. Consensus must bear
        // it that messages from before arrive after.
        state.packets.retain(|_, packet| {
            packet.to != machine || matches!(packet.load, Load::Consensus { .. })
        });
        state.pending.retain(|_, pending| pending.from != machine);
        let waiting: Vec<(u64, Machine)> = state
            .pending
            .iter()
            .filter(|(_, pending)| pending.to == machine)
            .map(|(call, pending)| (*call, pending.from))
            .collect();
        for (call, to) in waiting {
            if state.random.one_in(2) && !state.is_cut(machine, to) {
                let due = state.now + state.random.within(1..5);
                let load = Load::Reply(Said::Broken);
                state.put(due, Packet { from: machine, to, call, load });
            }
        }
    }

    /// Where a node is.
    pub fn machine_of(&self, node: NodeId) -> Option<Machine> {
        self.state().names.get(&node).copied()
    }

    /// Nothing gets from one machine to another, or does again.
    pub fn cut(&self, from: Machine, to: Machine, cut: bool) {
        let mut state = self.state();
        if cut {
            state.cuts.insert((from, to));
        } else {
            state.cuts.remove(&(from, to));
        }
    }

    /// All ways are open.
    pub fn join(&self) {
        self.state().cuts.clear();
    }

    /// Whether a message would get from one machine to another now.
    pub fn reaches(&self, from: Machine, to: Machine) -> bool {
        let state = self.state();
        !state.is_cut(from, to) && !state.down.contains(&to)
    }

    /// What it is like from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Sends a message; it is on its way when this returns. The answer.
    pub fn call(
        &self,
        from: Machine,
        to: Machine,
        lane: u8,
        load: Load,
    ) -> impl Future<Output = Said> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        let call = {
            let mut state = self.state();
            state.calls += 1;
            let call = state.calls;
            state.pending.insert(call, Pending { from, to, answer });
            state.send(lane, Packet { from, to, call, load });
            call
        };
        let waiting = Waiting { network: self.clone(), call };
        async move {
            let said = answered.await.unwrap_or(Said::Broken);
            drop(waiting);
            said
        }
    }

    /// Sends an answer.
    pub fn reply(&self, to: &Packet, said: Said) {
        let packet = Packet { from: to.to, to: to.from, call: to.call, load: Load::Reply(said) };
        self.state().send(3, packet);
    }

    /// What arrives by now, but for machines that stand still.
    pub fn arrivals(&self, now: u64, stands_still: impl Fn(Machine) -> bool) -> Vec<Packet> {
        let mut state = self.state();
        state.now = now;
        let later = state.packets.split_off(&(now + 1, 0));
        let due = std::mem::replace(&mut state.packets, later);
        let mut arrived = Vec::new();
        for ((_, nth), packet) in due {
            let Packet { from, to, call, .. } = packet;
            if state.is_cut(from, to) {
                continue;
            }
            if stands_still(to) {
                // It waits in the machine's buffers.
                state.packets.insert((now + 1, nth), packet);
                continue;
            }
            if state.down.contains(&to) {
                if !matches!(packet.load, Load::Reply(_)) && !state.is_cut(to, from) {
                    let due = now + state.random.within(1..4);
                    let load = Load::Reply(Said::Refused);
                    state.put(due, Packet { from: to, to: from, call, load });
                }
                continue;
            }
            let (kind, sum) = packet.load.sum();
            state.trace.mix("arrives", &[from as u64, to as u64, call, kind, sum]);
            match packet.load {
                Load::Reply(said) => {
                    if let Some(pending) = state.pending.remove(&call) {
                        // Whoever asked may have gone.
                        let _ = pending.answer.send(said);
                    }
                }
                Load::Consensus { .. } | Load::Ask(_) => arrived.push(packet),
            }
        }
        arrived
    }
}

impl Load {
    /// Its kind and a sum over it, for the trace.
    fn sum(&self) -> (u64, u64) {
        let of = |bytes: &[u8]| hash(bytes.len() as u64, bytes);
        match self {
            Self::Consensus { bytes, .. } => (0, of(bytes)),
            Self::Ask(ask) => (1, of(format!("{ask:?}").as_bytes())),
            Self::Reply(Said::Bytes(bytes)) => (2, of(bytes)),
            Self::Reply(said) => (3, of(format!("{said:?}").as_bytes())),
        }
    }
}

impl State {
    fn is_cut(&self, from: Machine, to: Machine) -> bool {
        from != to && self.cuts.contains(&(from, to))
    }

    fn put(&mut self, due: u64, packet: Packet) {
        self.sent += 1;
        self.packets.insert((due, self.sent), packet);
    }

    fn send(&mut self, lane: u8, packet: Packet) {
        let Packet { from, to, .. } = packet;
        if self.is_cut(from, to) {
            return;
        }
        let Weather { lost, delayed, delay_ms_max, duplicated, reordered } = self.weather;
        if self.random.per_mille(lost) {
            return self.faults.count(Fault::Lost);
        }
        let mut due = self.now + 1 + self.random.below(2);
        if self.random.per_mille(delayed) {
            self.faults.count(Fault::Delayed);
            due += self.random.within(5..delay_ms_max.max(6));
        }
        let last = self.lanes.entry((from, to, lane)).or_default();
        if due < *last && self.random.per_mille(reordered) {
            self.faults.count(Fault::Reordered);
        } else {
            due = due.max(*last);
            *last = due;
        }
        // Nodes ask each other over connections that deliver once. Consensus must bear
        // more.
        let may_come_twice = matches!(packet.load, Load::Consensus { .. });
        if may_come_twice && self.random.per_mille(duplicated) {
            self.faults.count(Fault::Duplicated);
            let again = due + self.random.within(0..300);
            self.put(again, packet.clone());
        }
        self.put(due, packet);
    }
}

/// Somebody waits for an answer; when this is dropped, nobody does any more.
struct Waiting {
    network: Network,
    call: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.network.state().pending.remove(&self.call);
    }
}

/// A machine's way into the network, for consensus.
pub struct Link {
    /// The network.
    pub network: Network,
    /// The machine.
    pub machine: Machine,
    /// What runs on it, once that is known.
    pub node: Arc<std::sync::OnceLock<NodeId>>,
}

impl Carrier for Link {
    fn carry(
        &self,
        to: NodeId,
        lane: Lane,
        message: Vec<u8>,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, CarrierError>> {
        let unreachable = |why: &str| CarrierError::Unreachable { node: to, why: why.into() };
        let (Some(from), Some(at)) = (self.node.get(), self.network.machine_of(to)) else {
            return Box::pin(std::future::ready(Err(unreachable("nobody knows it"))));
        };
        let lane = match lane {
            Lane::Control => 0,
            Lane::Log => 1,
            Lane::Bulk => 2,
        };
        let load = Load::Consensus { from: *from, to, bytes: message };
        let answer = self.network.call(self.machine, at, lane, load);
        Box::pin(async move {
            let lost = |why: &str| CarrierError::Lost { node: to, why: why.into() };
            match tokio::time::timeout(patience, answer).await {
                Ok(Said::Bytes(bytes)) => Ok(bytes),
                Ok(Said::Refused) => {
                    Err(CarrierError::Unreachable { node: to, why: "refused".into() })
                }
                Ok(Said::Broken | Said::Told(_)) => Err(lost("the connection broke")),
                Err(_) => Err(lost("no answer in time")),
            }
        })
    }

    /// All machines run the same program.
    fn version(&self, _to: NodeId) -> u16 {
        stead_consensus::RESUMES_FROM
    }
}
