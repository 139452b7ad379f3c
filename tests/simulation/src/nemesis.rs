//! Who does the harm: one thing after the other, for a while each, by chance.

use std::collections::BTreeSet;

use stead_journal::disk::sim::{SimDisk, Survivors};
use stead_model::{NodeId, PartitionId};

use crate::{
    faults::Fault,
    network::{Machine, Weather},
    random::Random,
    world::World,
};

/// How far a clock may be wrong, in milliseconds.
const WRONG_MS_MAX: u64 = 40 * 60 * 1_000;

/// Something that ends.
enum Ending {
    /// What was cut is joined.
    Cut(Vec<(Machine, Machine)>),
    /// The network is as it should be.
    Weather,
    /// A machine starts again, with its disk or with an empty one.
    Start(Machine, bool),
    /// A machine whose disk failed goes down, and starts again with another.
    Mend(Machine),
    /// A partition goes back to the node that led it.
    HandBack(PartitionId, NodeId),
}

/// Does harm.
pub struct Nemesis {
    random: Random,
    next: u64,
    /// How long it waits between two things, at most.
    pause_ms_max: u64,
    /// When what ends does.
    endings: Vec<(u64, Ending)>,
}

impl Nemesis {
    /// By chance more or less busy.
    pub fn new(mut random: Random) -> Self {
        let pause_ms_max = random.within(150..2_500);
        // A cluster comes about first.
        Self { next: random.within(500..2_500), random, pause_ms_max, endings: Vec::new() }
    }

    /// One more millisecond has passed.
    pub fn tick(&mut self, world: &mut World) {
        let now = world.now;
        let (over, still): (Vec<_>, Vec<_>) =
            self.endings.drain(..).partition(|(when, _)| *when <= now);
        self.endings = still;
        for (_, ending) in over {
            self.end(world, ending);
        }
        if self.next <= now {
            self.next = now + 1 + self.random.below(self.pause_ms_max);
            self.harm(world);
        }
    }

    fn end(&mut self, world: &mut World, ending: Ending) {
        match ending {
            Ending::Cut(cut) => {
                world.trace.note(format_args!("ways are joined: {cut:?}"));
                cut.into_iter().for_each(|(from, to)| world.network.cut(from, to, false));
            }
            Ending::Weather => world.network.set_weather(Weather::default()),
            Ending::HandBack(partition, to) => Self::hand_to(world, partition, to),
            Ending::Mend(at) => {
                if world.go_down_if_failing(at) {
                    self.comes_back(world, at);
                }
            }
            Ending::Start(at, with_disk) => {
                if world.node(at).is_some() {
                    return;
                }
                if !with_disk && world.may_lose(at) {
                    world.faults.count(Fault::DiskLost);
                    world.trace.note(format_args!("m{at} lost its disk"));
                    if let Some(rack) = world.machines.get_mut(at) {
                        rack.disk = SimDisk::new();
                        world.lost.extend(rack.name.take());
                    }
                } else {
                    world.faults.count(Fault::Restarted);
                }
                world.start(at);
            }
        }
    }

    fn later(&mut self, world: &World, most: u64, ending: Ending) {
        let when = world.now + self.random.within(20..most);
        self.endings.push((when, ending));
    }

    fn harm(&mut self, world: &mut World) {
        let Some(at) = self.random.of(&world.up()) else { return };
        match self.random.below(21) {
            0..3 => {
                let survivors = match self.random.below(4) {
                    0 => Survivors::None,
                    1 => Survivors::All,
                    _ => Survivors::Some(self.random.next()),
                };
                world.faults.count(Fault::PowerLost);
                world.crash(at, Some(survivors));
                self.comes_back(world, at);
            }
            3 => {
                if let Some(rack) = world.machines.get(at) {
                    rack.disk.lose_power_after(self.random.within(1..12));
                    world.faults.count(Fault::TornWrite);
                }
                self.comes_back(world, at);
            }
            4 => {
                world.faults.count(Fault::Killed);
                world.crash(at, None);
                self.comes_back(world, at);
            }
            5 => {
                world.faults.count(Fault::Stopped);
                world.stop(at);
                self.comes_back(world, at);
            }
            6..11 => self.cut(world),
            11..13 => self.weather(world),
            13..15 => {
                world.faults.count(Fault::SlowDisk);
                let slow = (self.random.within(5..400), world.now + self.random.within(50..3_000));
                world.trace.note(format_args!("the disk of m{at} is slow: {slow:?}"));
                if let Some(rack) = world.machines.get_mut(at) {
                    rack.slow = slow;
                }
            }
            15 => {
                world.faults.count(Fault::ClockJump);
                let by =
                    self.random.below(2 * WRONG_MS_MAX).cast_signed() - WRONG_MS_MAX.cast_signed();
                world.trace.note(format_args!("the clock of m{at} is wrong by {by}"));
                if let Some(rack) = world.machines.get(at) {
                    rack.clock.set_wrong(by);
                }
            }
            16 | 17 => {
                world.faults.count(Fault::Paused);
                let until = world.now + self.random.within(20..3_000);
                world.trace.note(format_args!("m{at} stands still until {until}"));
                if let Some(rack) = world.machines.get_mut(at) {
                    rack.paused_until = until;
                }
            }
            18 | 19 => self.hand_over(world),
            _ => {
                let points = self.random.below(12);
                let prefix = self.random.of(&["", "log", "partitions"]).unwrap_or("");
                world.fail_disk(at, points, prefix);
                self.later(world, 8_000, Ending::Mend(at));
            }
        }
    }

    fn comes_back(&mut self, world: &World, at: Machine) {
        let with_disk = !self.random.one_in(3);
        self.later(world, 2_500, Ending::Start(at, with_disk));
    }

    /// One set of machines can't reach another.
    fn cut(&mut self, world: &mut World) {
        let machines = world.machines.len();
        let mut one = BTreeSet::new();
        let mut other = BTreeSet::new();
        if self.random.one_in(3) {
            // Whoever leads something, alone.
            let leads = |at: &Machine| {
                let leads = world.node(*at).map(|node| {
                    world
                        .count
                        .all_and_system()
                        .any(|of| node.consensus().leads(of).borrow().is_some())
                });
                leads.unwrap_or(false)
            };
            let leaders: Vec<Machine> = (0..machines).filter(leads).collect();
            let alone = self.random.of(&leaders).unwrap_or(0);
            one.insert(alone);
            other.extend((0..machines).filter(|at| *at != alone));
        } else {
            for at in 0..machines {
                if self.random.one_in(2) {
                    one.insert(at);
                } else {
                    other.insert(at);
                }
            }
        }
        let both = |from: &BTreeSet<Machine>, to: &BTreeSet<Machine>| -> Vec<(Machine, Machine)> {
            from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b))).collect()
        };
        let (fault, cut) = match self.random.below(5) {
            0 | 1 => {
                let mut cut = both(&one, &other);
                cut.extend(both(&other, &one));
                (Fault::CutBothWays, cut)
            }
            2 | 3 => (Fault::CutOneWay, both(&one, &other)),
            _ => {
                // One of them still reaches everybody.
                let bridge = self.random.below(machines as u64);
                let bridge = usize::try_from(bridge).unwrap_or(0);
                one.remove(&bridge);
                other.remove(&bridge);
                let mut cut = both(&one, &other);
                cut.extend(both(&other, &one));
                (Fault::CutToBridge, cut)
            }
        };
        if cut.is_empty() {
            return;
        }
        world.faults.count(fault);
        world.trace.note(format_args!("{fault}: {one:?} and {other:?}"));
        cut.iter().for_each(|(from, to)| world.network.cut(*from, *to, true));
        self.later(world, 4_000, Ending::Cut(cut));
    }

    fn weather(&mut self, world: &mut World) {
        let weather = Weather {
            lost: self.random.below(200),
            delayed: self.random.below(300),
            delay_ms_max: self.random.within(20..1_500),
            duplicated: self.random.below(150),
            reordered: self.random.below(500),
        };
        world.trace.note(format_args!("{weather:?}"));
        world.network.set_weather(weather);
        self.later(world, 3_000, Ending::Weather);
    }

    fn hand_over(&mut self, world: &mut World) {
        let names: Vec<_> = world.machines.iter().filter_map(|rack| rack.name).collect();
        let partitions: Vec<_> = world.count.all_and_system().collect();
        let (Some(partition), Some(to)) = (self.random.of(&partitions), self.random.of(&names))
        else {
            return;
        };
        let led = |at: &Machine| {
            let node = world.node(*at)?;
            node.consensus().leads(partition).borrow().is_some().then(|| node.id())
        };
        let led = world.up().iter().find_map(led);
        Self::hand_to(world, partition, to);
        // Soon enough that what was proposed before is still on its way.
        if let Some(led) = led.filter(|_| self.random.one_in(2)) {
            self.later(world, 300, Ending::HandBack(partition, led));
        }
    }

    /// Has whoever leads a partition hand it to a node.
    fn hand_to(world: &mut World, partition: PartitionId, to: NodeId) {
        for at in world.up() {
            if let Some(node) = world.node(at)
                && node.consensus().leads(partition).borrow().is_some()
                && node.id() != to
            {
                world.faults.count(Fault::HandedOver);
                world.trace.note(format_args!("m{at} is to hand {partition} to {}", to.short()));
                node.consensus().transfer(partition, to);
            }
        }
    }
}
