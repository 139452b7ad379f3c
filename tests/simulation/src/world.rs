//! A run: machines, the network between them, callers, and the harm that is done to
//! all of them, a millisecond at a time, on one thread, from a seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use stead_journal::disk::sim::{SimDisk, Survivors};
use stead_model::{NodeId, PartitionCount, PartitionId};
use stead_placement::{Replicas, Settings};

use crate::{
    clients::{Clients, Reach},
    clock::Clock,
    faults::{Fault, Faults},
    nemesis::Nemesis,
    network::{Load, Machine, Network, Said, Weather},
    node::{Habits, Node, Running, Start},
    observer::Observer,
    planted::Planted,
    presence::Presence,
    properties::{Properties, Seen},
    random::Random,
    routing,
    trace::Trace,
};

/// How long after everything was healed a run may take to come to rest.
const REST_MS_MAX: u64 = 60_000;
/// How long until all replicas are alike.
const ALIKE_MS_MAX: u64 = 60_000;
/// How often stores are compared.
const COMPARE_MS: u64 = 250;

/// What a run is like.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// A bug to put in.
    pub planted: Option<Planted>,
    /// Whether all lines of the trace are kept.
    pub keep_trace: bool,
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How long it lasted, in milliseconds of its own time.
    pub simulated_ms: u64,
    /// How often each fault was done.
    pub faults: BTreeMap<Fault, u64>,
    /// Operations that were answered and checked.
    pub operations: u64,
    /// Tries of them that came to nothing.
    pub retries: u64,
    /// Entries that were looked at, stores that were compared, things that were judged.
    pub entries: u64,
    /// See [`Self::entries`].
    pub stores: u64,
    /// See [`Self::entries`].
    pub judged: u64,
    /// The first property that did not hold, and how.
    pub violated: Option<(&'static str, String)>,
    /// A hash of all that happened.
    pub trace: u64,
    /// How much that was.
    pub lines: u64,
    /// The last of it, or all.
    pub log: Vec<String>,
}

/// A machine.
pub struct Rack {
    /// Its disk.
    pub disk: SimDisk,
    /// Its clock.
    pub clock: Clock,
    /// What runs on it.
    pub running: Option<Running>,
    /// Until when it stands still.
    pub paused_until: u64,
    /// How much longer its disk takes, until when.
    pub slow: (u64, u64),
    /// Of which files nothing more can be synced, now or soon, if its disk has failed; and
    /// how much harm it had done before.
    pub failing: Option<(&'static str, u64)>,
    /// The name of the node that its disk holds.
    pub name: Option<NodeId>,
    random: Random,
}

/// Everything.
pub struct World {
    /// The machines.
    pub machines: Vec<Rack>,
    /// The network.
    pub network: Network,
    /// What happened.
    pub trace: Trace,
    /// How often each fault was done.
    pub faults: Faults,
    /// How many partitions there are.
    pub count: PartitionCount,
    /// How long it has lasted.
    pub now: u64,
    /// What was found.
    pub properties: Properties,
    /// Nodes whose disks are lost.
    pub lost: BTreeSet<NodeId>,
    run: Arc<AtomicU64>,
    planted: Option<Planted>,
    observer: Observer,
    presence: Presence,
    clients: Option<Clients>,
    settings: Settings,
    habits: Habits,
}

impl Reach for Vec<Rack> {
    fn any(&self, random: &mut Random) -> Option<Machine> {
        let up: Vec<Machine> = (0..self.len()).filter(|at| self.node(*at).is_some()).collect();
        random.of(&up)
    }

    fn node(&self, machine: Machine) -> Option<&Arc<Node>> {
        Some(&self.get(machine)?.running.as_ref()?.node)
    }

    fn spawn(&self, machine: Machine, task: futures::future::BoxFuture<'static, ()>) {
        if let Some(running) = self.get(machine).and_then(|rack| rack.running.as_ref()) {
            running.spawn(task);
        }
    }
}

impl World {
    fn new(plan: Plan, trace: Trace, random: &mut Random) -> Self {
        let faults = Faults::default();
        let run = Arc::new(AtomicU64::new(0));
        let network = Network::new(random.fork(), trace.clone(), faults.clone());
        let machines = 3 + random.below(3);
        let partitions = 1 + u16::try_from(random.below(3)).unwrap_or(0);
        let count = PartitionCount::new(partitions).expect("a count");
        let machines = (0..machines).map(|_| Rack {
            disk: SimDisk::new(),
            clock: Clock::new(Arc::clone(&run)),
            running: None,
            paused_until: 0,
            slow: (0, 0),
            failing: None,
            name: None,
            random: random.fork(),
        });
        let machines = machines.collect();
        let (clients, entities) = (2 + random.below(4), 2 + random.below(8));
        let clients = Clients::new(
            random.fork(),
            usize::try_from(clients).unwrap_or(2),
            entities,
            faults.clone(),
        );
        let settings = Settings {
            replicas: Replicas::Three,
            partitions: count,
            grace_ms: 2_500,
            lag_entries_max: 50,
            ..Settings::default()
        };
        Self {
            machines,
            network,
            trace,
            presence: Presence::new(random.fork(), faults.clone()),
            faults,
            count,
            now: 0,
            properties: Properties::default(),
            lost: BTreeSet::new(),
            run,
            planted: plan.planted,
            observer: Observer::default(),
            clients: Some(clients),
            settings,
            habits: Habits::new(random),
        }
    }

    /// Those on which something runs.
    pub fn up(&self) -> Vec<Machine> {
        (0..self.machines.len()).filter(|at| self.node(*at).is_some()).collect()
    }

    /// The node on a machine.
    pub fn node(&self, machine: Machine) -> Option<&Arc<Node>> {
        self.machines.node(machine)
    }

    /// Starts what is on a machine's disk.
    pub fn start(&mut self, at: Machine) {
        let Some(rack) = self.machines.get_mut(at) else { return };
        let start = Start {
            machine: at,
            disk: rack.disk.clone(),
            count: self.count,
            network: self.network.clone(),
            clock: rack.clock.clone(),
            trace: self.trace.clone(),
            random: rack.random.fork(),
            planted: self.planted,
            placing: Some(self.settings.clone()),
            habits: self.habits,
        };
        match Running::start(start, self.now) {
            Ok(running) => {
                let name = running.node.id();
                self.trace.note(format_args!("m{at} starts as {}", name.short()));
                self.network.up(at, name);
                self.presence.starts(at, name);
                rack.name = Some(name);
                rack.running = Some(running);
            }
            Err(why) => {
                // Power may be lost while it starts, if that was arranged.
                if !rack.disk.power_is_off() {
                    let what = format!("it does not start: {why}");
                    self.properties.see(&Seen::Trouble { machine: at, what: &what });
                }
            }
        }
    }

    /// What runs on a machine is gone at once; its disk is as told.
    pub fn crash(&mut self, at: Machine, survivors: Option<Survivors>) {
        let Some(rack) = self.machines.get_mut(at) else { return };
        let Some(running) = rack.running.take() else { return };
        // First the disk: what the process would write on its way out isn't there.
        rack.disk = match survivors {
            Some(survivors) => rack.disk.restart(survivors),
            None => rack.disk.kill(),
        };
        rack.failing = None;
        self.trace.note(format_args!("m{at} crashes: {survivors:?}"));
        self.network.down(at);
        self.observer.forget(at);
        self.presence.changes(self.now);
        drop(running);
    }

    /// What runs on a machine stops in good order.
    pub fn stop(&mut self, at: Machine) {
        let Some(rack) = self.machines.get_mut(at) else { return };
        let Some(running) = rack.running.take() else { return };
        self.trace.note(format_args!("m{at} stops"));
        self.network.down(at);
        if let Err(why) = running.stop()
            && !rack.disk.power_is_off()
            && rack.failing.is_none()
        {
            let what = format!("it does not stop well: {why}");
            self.properties.see(&Seen::Trouble { machine: at, what: &what });
        }
        rack.disk = rack.disk.kill();
        rack.failing = None;
        self.observer.forget(at);
        self.presence.changes(self.now);
    }

    /// From one of the next writes on nothing more of some files can be synced.
    pub fn fail_disk(&mut self, at: Machine, points: u64, prefix: &'static str) {
        let Some(rack) = self.machines.get_mut(at) else { return };
        if rack.failing.is_some() || rack.running.is_none() {
            return;
        }
        self.faults.count(Fault::FailedDisk);
        self.trace.note(format_args!("the disk of m{at} fails after {points} writes: {prefix:?}"));
        rack.disk.fail_sync_after(points, prefix);
        rack.failing = Some((prefix, rack.disk.faults_injected()));
    }

    fn is_failing(&self, at: Machine) -> bool {
        self.machines.get(at).is_some_and(|rack| rack.failing.is_some())
    }

    /// A machine whose disk has failed goes down; whether it did.
    pub fn go_down_if_failing(&mut self, at: Machine) -> bool {
        let Some(rack) = self.machines.get_mut(at).filter(|rack| rack.failing.is_some()) else {
            return false;
        };
        let survivors = Survivors::Some(rack.random.next());
        self.crash(at, Some(survivors));
        true
    }

    /// Whether the loss of a machine's disk loses nothing: each partition that its
    /// node is in has two other voters, and no voter was ever lost. All others must be
    /// there, as one that isn't may know of a voter that nobody else knows of yet.
    pub fn may_lose(&self, at: Machine) -> bool {
        let Some(name) = self.machines.get(at).and_then(|rack| rack.name) else { return false };
        let mut others = (0..self.machines.len()).filter(|other| *other != at);
        if others.any(|other| self.node(other).is_none() || self.is_failing(other)) {
            return false;
        }
        self.count.all_and_system().all(|partition| {
            let views = self.up().into_iter().filter_map(|of| {
                let running = self.machines.get(of)?.running.as_ref()?;
                let view = running.wait(running.node.consensus().view(partition));
                (!view.voters.is_empty()).then_some(view)
            });
            let views: Vec<_> = views.collect();
            !views.is_empty()
                && views.iter().all(|view| {
                    let holders = || view.voters.iter().chain(&view.learners);
                    !view.is_changing
                        && (!holders().any(|of| *of == name) || view.voters.len() >= 3)
                        && !holders().any(|of| self.lost.contains(of))
                        && views.iter().all(|other| other.voters == view.voters)
                })
        })
    }

    /// All faults end: everything is up and reachable, and clocks agree. But one disk may
    /// go on failing, if every partition can do without.
    pub fn heal(&mut self) {
        self.trace.note(format_args!("all is healed"));
        let failing: Vec<Machine> =
            self.up().into_iter().filter(|at| self.is_failing(*at)).collect();
        self.network.join();
        self.network.set_weather(Weather::default());
        for at in 0..self.machines.len() {
            if let Some(rack) = self.machines.get_mut(at) {
                rack.paused_until = 0;
                rack.slow = (0, 0);
                rack.disk.heal();
                if let Some((prefix, _)) = rack.failing {
                    rack.disk.fail_sync_after(0, prefix);
                }
                rack.clock.set_wrong(0);
                if rack.running.is_none() {
                    self.start(at);
                }
            }
        }
        match failing.as_slice() {
            [at] if self.may_lose(*at) => {
                self.trace.note(format_args!("the disk of m{at} goes on failing"));
            }
            _ => self.mend(),
        }
        self.presence.be_right();
    }

    /// The machines whose disks have failed start again with what is left.
    fn mend(&mut self) {
        for at in 0..self.machines.len() {
            if self.go_down_if_failing(at) {
                self.start(at);
            }
        }
    }

    /// One more millisecond.
    pub fn tick(&mut self) {
        self.now += 1;
        self.run.store(self.now, Ordering::Relaxed);
        self.trace.set_now(self.now);
        let now = self.now;
        let paused: Vec<bool> = self.machines.iter().map(|rack| rack.paused_until > now).collect();
        let stands_still = |at: Machine| paused.get(at).copied().unwrap_or(false);
        for packet in self.network.arrivals(now, stands_still) {
            let Some(running) = self.machines.get(packet.to).and_then(|rack| rack.running.as_ref())
            else {
                continue;
            };
            let node = Arc::clone(&running.node);
            match &packet.load {
                Load::Consensus { from, to, bytes } if *to == node.id() => {
                    let (answer, answered) = tokio::sync::oneshot::channel();
                    // Whoever asked may have gone.
                    let say = |bytes| drop(answer.send(bytes));
                    running.within(|| node.consensus().serve(*from, bytes.clone(), say));
                    let network = self.network.clone();
                    running.spawn(async move {
                        if let Ok(bytes) = answered.await {
                            network.reply(&packet, Said::Bytes(bytes));
                        }
                    });
                }
                // Another node is there by now.
                Load::Consensus { .. } => self.network.reply(&packet, Said::Refused),
                Load::Ask(_) => running.spawn(routing::serve(node, packet)),
                Load::Reply(_) => {}
            }
        }
        self.presence.tick(now, &self.machines, &self.network, &self.trace);
        for at in 0..self.machines.len() {
            if stands_still(at) {
                continue;
            }
            let Some(rack) = self.machines.get_mut(at) else { continue };
            let slow_ms = if rack.slow.1 > now { rack.slow.0 } else { 0 };
            let Some(running) = &mut rack.running else { continue };
            running.tick(now, slow_ms);
            if rack.disk.power_is_off() {
                let survivors = Survivors::Some(rack.random.next());
                self.crash(at, Some(survivors));
            }
        }
        for rack in &self.machines {
            let Some(running) = &rack.running else { continue };
            self.observer.look(&running.node, &self.trace, &mut self.properties);
            let troubles = running.node.take_troubles();
            if rack.failing.is_some_and(|(_, before)| rack.disk.faults_injected() > before) {
                // Its groups and stores fail, and that is as it should be.
                continue;
            }
            for what in troubles {
                let machine = running.node.machine;
                self.properties.see(&Seen::Trouble { machine, what: &what });
            }
            let due = (now + running.node.machine as u64 * 7).is_multiple_of(COMPARE_MS);
            if due {
                for partition in self.count.all_and_system() {
                    self.observer.compare(&running.node, partition, &mut self.properties);
                }
            }
        }
        if let Some(mut clients) = self.clients.take() {
            clients.tick(now, &self.machines, &mut self.properties);
            self.clients = Some(clients);
        }
    }

    fn is_violated(&self) -> bool {
        self.properties.violated.is_some()
    }

    /// Lets time pass until something holds; whether it did in time.
    fn until(&mut self, ms_max: u64, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + ms_max;
        while self.now < end && !self.is_violated() {
            if holds(self) {
                return true;
            }
            self.tick();
        }
        holds(self)
    }

    fn clients(&mut self) -> &mut Clients {
        self.clients.as_mut().expect("they are only away within a tick")
    }

    /// The first nodes begin the groups; the others are given a part.
    fn begin(&mut self, random: &mut Random) {
        for at in 0..self.machines.len() {
            self.start(at);
        }
        let names: Vec<NodeId> = self.machines.iter().filter_map(|rack| rack.name).collect();
        let holders = if random.one_in(2) { 3 } else { 1 };
        let Some(first) = self.node(0).cloned() else { return };
        for partition in self.count.all_and_system() {
            let members: Vec<NodeId> = names.iter().copied().take(holders).collect();
            let Some(running) = self.machines.first().and_then(|rack| rack.running.as_ref()) else {
                return;
            };
            let node = Arc::clone(&first);
            running.spawn(async move {
                if let Err(error) = node.consensus().begin(partition, members).await {
                    node.trace.note(format_args!("{error}"));
                }
            });
        }
    }

    /// After the faults, all must be well again.
    fn come_to_rest(&mut self) {
        self.heal();
        self.clients().ending = true;
        if !self.until(REST_MS_MAX, |world| world.clients.as_ref().is_some_and(Clients::are_done)) {
            let waiting = self.clients().under_way();
            let why =
                format!("after {REST_MS_MAX} ms still under way: {waiting:?}{}", self.shown());
            return self.properties.fail("every client finishes", why);
        }
        let now = self.now;
        self.clients().ending = false;
        self.clients().last_words(now);
        self.clients().ending = true;
        if !self.until(REST_MS_MAX, |world| world.clients.as_ref().is_some_and(Clients::are_done)) {
            let waiting = self.clients().under_way();
            let why = format!("after {REST_MS_MAX} ms not answered: {waiting:?}{}", self.shown());
            return self.properties.fail("every partition serves", why);
        }
        self.mend();
        if !self.until(ALIKE_MS_MAX, Self::has_settled) {
            let why = format!("after {ALIKE_MS_MAX} ms the replicas are not alike{}", self.shown());
            return self.properties.fail("replicas catch up", why);
        }
        self.check_stores();
    }

    /// Who holds a partition, by its leader.
    fn holders(&self, partition: PartitionId) -> Option<BTreeSet<NodeId>> {
        self.up().into_iter().find_map(|at| {
            let running = self.machines.get(at)?.running.as_ref()?;
            let view = running.wait(running.node.consensus().view(partition));
            // One that led, and is no member any more, may not have heard who leads now.
            let leads = *running.node.consensus().leads(partition).borrow() == Some(view.term);
            (leads && !view.is_changing).then_some(view.voters)
        })
    }

    /// Whether each partition is on as many nodes as it should be, and all of them
    /// have applied all that is decided.
    fn has_settled(&self) -> bool {
        if !self.now.is_multiple_of(100) {
            return false;
        }
        self.count.all_and_system().all(|partition| {
            let Some(holders) = self.holders(partition) else { return false };
            let decided = self.observer.decided(partition);
            holders.len() == 3
                && holders.iter().all(|holder| {
                    let at = self.network.machine_of(*holder);
                    at.and_then(|at| self.node(at)).is_some_and(|node| {
                        node.id() == *holder
                            && *node.consensus().applied(partition).borrow() == decided
                    })
                })
        })
    }

    /// At rest, every store has everything.
    fn check_stores(&mut self) {
        let acknowledged = std::mem::take(&mut self.clients().acknowledged);
        let entities = self.clients().entities().to_vec();
        for partition in self.count.all() {
            let holders = self.holders(partition).unwrap_or_default();
            for holder in holders {
                let at = self.network.machine_of(holder);
                let Some(node) = at.and_then(|at| self.node(at)).cloned() else { continue };
                self.observer.compare(&node, partition, &mut self.properties);
                let reader = node.consensus().reader(partition);
                let machine = node.machine;
                let of_this = |address| self.count.partition_of(address) == partition;
                for operation in acknowledged.iter().filter(|op| of_this(&op.address)) {
                    let Some(request) = &operation.request else { continue };
                    // Those that nodes minted are kept for minutes only.
                    if operation.minted {
                        continue;
                    }
                    let reply = reader.reply(&operation.address, request).ok().flatten();
                    let reply = reply.as_ref().map(|reply| reply.reply.as_slice());
                    self.properties.see(&Seen::Recorded { machine, operation, reply });
                }
                for address in entities.iter().filter(|address| of_this(address)) {
                    let Ok(Some(record)) = reader.entity(address) else { continue };
                    let (first, last) = (record.first_stored, record.last_sequence);
                    let events = reader.events(address, first, last, 1 << 20, 1 << 30);
                    let found = events.map_or(0, |events| events.len() as u64);
                    let between = (first.get(), last.get());
                    self.properties.see(&Seen::Events { machine, address, between, found });
                }
            }
            let places = self.observer.positions(partition);
            self.trace.note(format_args!("{partition} is at {places:?}"));
        }
    }

    /// How the groups stand, for a report.
    fn shown(&self) -> String {
        let mut shown = String::new();
        for at in self.up() {
            let Some(running) = self.machines.get(at).and_then(|rack| rack.running.as_ref()) else {
                continue;
            };
            for partition in self.count.all_and_system() {
                let view = running.wait(running.node.consensus().view(partition));
                let leads = *running.node.consensus().leads(partition).borrow();
                let applied = *running.node.consensus().applied(partition).borrow();
                shown.push_str(&format!(
                    "\n  m{at} {} partition {partition}: serves {leads:?}, applied {applied}: {view:?}",
                    running.node.id().short()
                ));
            }
        }
        shown
    }
}

/// Runs a seed. A panic anywhere is a violation like others.
#[must_use]
pub fn run(plan: Plan) -> Report {
    let trace = Trace::new(plan.keep_trace);
    let ran = catch_unwind(AssertUnwindSafe(|| run_on(plan, trace.clone())));
    ran.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        let how = said.unwrap_or_else(|| "it says nothing".into());
        trace.note(format_args!("panicked: {how}"));
        Report {
            seed: plan.seed,
            violated: Some(("nothing panics", how)),
            trace: trace.hash(),
            lines: trace.lines(),
            log: trace.recent(),
            ..Report::default()
        }
    })
}

fn run_on(plan: Plan, trace: Trace) -> Report {
    stead_consensus::seed_chance(plan.seed);
    let mut random = Random::new(plan.seed);
    let mut world = World::new(plan, trace, &mut random);
    world.trace.note(format_args!(
        "seed {}: {} machines, {} partitions",
        plan.seed,
        world.machines.len(),
        world.count.get()
    ));
    world.begin(&mut random);
    let mut nemesis = Nemesis::new(random.fork());
    let lasts = random.within(8_000..20_000);
    while world.now < lasts && !world.is_violated() {
        nemesis.tick(&mut world);
        world.tick();
    }
    if !world.is_violated() {
        world.come_to_rest();
    }
    if let Some((property, how)) = &world.properties.violated {
        world.trace.note(format_args!("violated: {property}: {how}"));
    }
    let clients = world.clients();
    let (operations, retries) = (clients.answered, clients.retried);
    Report {
        seed: plan.seed,
        simulated_ms: world.now,
        faults: world.faults.counts(),
        operations,
        retries,
        entries: world.observer.entries,
        stores: world.observer.compared,
        judged: world.properties.judged,
        violated: world.properties.violated.clone(),
        trace: world.trace.hash(),
        lines: world.trace.lines(),
        log: if plan.keep_trace { world.trace.all() } else { world.trace.recent() },
    }
}
