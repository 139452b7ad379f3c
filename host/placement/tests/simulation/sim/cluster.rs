//! The simulated cluster.

use std::collections::{BTreeMap, BTreeSet};

use stead_model::{NodeId, PartitionId, Term, TimestampMs};
use stead_placement::{
    Change, Doing, NodeView, Observed, PartitionView, Plan, Progress, Settings, Standing, Step,
    Target, plan,
};

use super::{Random, check};

const TICK_MS: u64 = 1_000;
/// What a replica that begins lacks, and what it gets in a tick at most.
const COPY_ENTRIES: u64 = 20_000;
const COPIED_PER_TICK: u64 = 9_000;

/// A partition's group as it really is.
#[derive(Debug, Clone, Default)]
pub struct Group {
    pub voters: BTreeSet<NodeId>,
    pub learners: BTreeSet<NodeId>,
    pub leader: Option<NodeId>,
    pub term: u64,
    lag: BTreeMap<NodeId, u64>,
    /// A step under way, and how many ticks until it is done.
    step: Option<(Step, u64)>,
    /// The voters to be, while a change is joint.
    joint: Option<BTreeSet<NodeId>>,
}

/// A cluster that is run tick by tick.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub settings: Settings,
    pub nodes: BTreeMap<NodeId, NodeView>,
    pub groups: BTreeMap<PartitionId, Group>,
    pub now: TimestampMs,
    pub target: Option<Target>,
    pub random: Random,
    /// Whether steps are late, and some are lost.
    pub unreliable: bool,
    /// Whether each plan is made without the target of the one before.
    pub forgetful: bool,
    /// Replicas begun since this was last set to 0.
    pub copies: usize,
    /// Leaders handed over since this was last set to 0.
    pub transfers: usize,
    next_node: u128,
}

impl Cluster {
    /// A cluster of one, as all clusters begin.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let first = NodeId(1 << 96);
        let groups = settings.partitions.all().map(|partition| {
            let group =
                Group { voters: [first].into(), leader: Some(first), term: 1, ..Group::default() };
            (partition, group)
        });
        let groups = groups.collect();
        let mut cluster = Self {
            settings,
            nodes: BTreeMap::new(),
            groups,
            now: TimestampMs(1_000_000),
            target: None,
            random: Random::new(seed),
            unreliable: false,
            forgetful: false,
            copies: 0,
            transfers: 0,
            next_node: 1,
        };
        assert_eq!(cluster.join(None), first);
        cluster
    }

    pub fn join(&mut self, zone: Option<&str>) -> NodeId {
        let node = NodeId(self.next_node << 96);
        self.next_node += 1;
        let zone = zone.map(str::to_owned);
        self.nodes.insert(node, NodeView::new(Standing::Present, zone));
        node
    }

    pub fn set(&mut self, node: NodeId, standing: Standing) {
        self.nodes.get_mut(&node).expect("a node").standing = standing;
    }

    pub fn kill(&mut self, node: NodeId) {
        self.set(node, Standing::Gone { since: self.now });
    }

    pub fn standing(&self, node: NodeId) -> Standing {
        self.nodes.get(&node).map_or(Standing::Removed, |view| view.standing)
    }

    pub fn with(&self, standing: fn(Standing) -> bool) -> Vec<NodeId> {
        let nodes = self.nodes.iter().filter(|(_, view)| standing(view.standing));
        nodes.map(|(&node, _)| node).collect()
    }

    fn is_live(&self, node: NodeId) -> bool {
        self.standing(node).is_live()
    }

    pub fn decides(&self, voters: &BTreeSet<NodeId>) -> bool {
        voters.iter().filter(|&&voter| self.is_live(voter)).count() * 2 > voters.len()
    }

    pub fn voters_on(&self, node: NodeId) -> usize {
        self.groups.values().filter(|group| group.voters.contains(&node)).count()
    }

    pub fn led_by(&self, node: NodeId) -> usize {
        self.groups.values().filter(|group| group.leader == Some(node)).count()
    }

    pub fn observed(&self) -> Observed {
        let view = |group: &Group| {
            let progress = |nodes: &BTreeSet<NodeId>| {
                let lag = |node| Progress::Behind(group.lag.get(&node).copied().unwrap_or(0));
                nodes.iter().map(|&node| (node, lag(node))).collect::<BTreeMap<_, _>>()
            };
            let joint = group.joint.clone().unwrap_or_default();
            let voters: BTreeSet<_> = group.voters.union(&joint).copied().collect();
            let learners = group.learners.difference(&voters).copied().collect();
            PartitionView {
                voters: progress(&voters),
                learners: progress(&learners),
                leader: group.leader,
                term: Term(group.term),
                change: match (&group.step, &group.joint) {
                    (Some((Step::TransferLeader { to, .. }, _)), None) => {
                        Some(Change::Leader { to: *to })
                    }
                    (None, None) => None,
                    (Some(_), _) | (_, Some(_)) => Some(Change::Members),
                },
                has_quorum: group.leader.is_some() && self.decides(&group.voters),
            }
        };
        Observed {
            nodes: self.nodes.clone(),
            partitions: self.groups.iter().map(|(&id, group)| (id, view(group))).collect(),
            now: self.now,
        }
    }

    /// Plans, checks the plan, and carries it out as far as a tick goes.
    pub fn tick(&mut self) -> Plan {
        self.now = self.now.plus_ms(TICK_MS);
        self.elect();
        self.copy();
        let observed = self.observed();
        let previous = self.target.take().filter(|_| !self.forgetful);
        let plan = plan(&self.settings, &observed, previous.as_ref());
        check(&self.settings, &observed, &plan.steps).expect("the plan keeps the rules");
        self.target = Some(plan.target.clone());
        for step in &plan.steps {
            self.begin(step);
        }
        self.carry_out();
        self.must_hold();
        plan
    }

    /// What no cluster may come to, whatever happens.
    fn must_hold(&self) {
        for (partition, group) in &self.groups {
            assert!(!group.voters.is_empty(), "partition {partition} has no voters");
            if let Some(leader) = group.leader {
                let votes = group.voters.contains(&leader);
                assert!(votes, "partition {partition} is led by one that has no vote");
            }
            assert!(group.voters.is_disjoint(&group.learners), "partition {partition}");
        }
    }

    fn elect(&mut self) {
        let live: BTreeSet<_> =
            self.nodes.keys().copied().filter(|&node| self.is_live(node)).collect();
        for group in self.groups.values_mut() {
            let up: Vec<_> = group.voters.intersection(&live).copied().collect();
            let decides =
                |voters: &BTreeSet<NodeId>| voters.intersection(&live).count() * 2 > voters.len();
            let quorum = decides(&group.voters) && group.joint.as_ref().is_none_or(decides);
            if group.leader.is_some_and(|leader| live.contains(&leader)) && quorum {
                continue;
            }
            group.leader = None;
            if quorum && self.random.percent(70) {
                let lag = |node: &NodeId| group.lag.get(node).copied().unwrap_or(0);
                let least = up.iter().map(lag).min().unwrap_or(0);
                let best: Vec<_> = up.iter().copied().filter(|node| lag(node) == least).collect();
                group.leader = self.random.pick(&best);
                group.term += 1;
                group.lag.retain(|&node, _| Some(node) != group.leader);
            }
        }
    }

    fn copy(&mut self) {
        for group in self.groups.values_mut() {
            let replicas: Vec<_> = group.voters.union(&group.learners).copied().collect();
            for node in replicas {
                let standing = self.nodes.get(&node).map(|view| view.standing);
                let lag = group.lag.entry(node).or_default();
                if Some(node) == group.leader {
                    *lag = 0;
                }
                if group.leader.is_none() || Some(node) == group.leader {
                    continue;
                }
                if standing.is_some_and(Standing::is_live) {
                    *lag = lag.saturating_sub(self.random.below(COPIED_PER_TICK));
                } else {
                    *lag += 500;
                }
            }
        }
    }

    fn begin(&mut self, step: &Step) {
        let (lost, ticks) = if self.unreliable {
            (self.random.percent(10), self.random.below(4))
        } else {
            (false, 0)
        };
        match step {
            Step::AddLearner { .. } => self.copies += 1,
            Step::TransferLeader { .. } => self.transfers += 1,
            Step::ChangeVoters { .. } | Step::RemoveLearner { .. } => {}
        }
        if !lost {
            let group = self.groups.get_mut(&step.partition()).expect("a group");
            group.step = Some((step.clone(), ticks));
        }
    }

    fn carry_out(&mut self) {
        let partitions: Vec<_> = self.groups.keys().copied().collect();
        for partition in partitions {
            let mut group = self.groups.remove(&partition).expect("a group");
            self.carry_out_one(&mut group);
            self.groups.insert(partition, group);
        }
    }

    fn carry_out_one(&self, group: &mut Group) {
        if let Some(joint) = &group.joint
            && group.leader.is_some()
            && self.decides(&group.voters)
            && self.decides(joint)
        {
            group.voters = group.joint.take().expect("it is joint");
            group.learners.retain(|node| !group.voters.contains(node));
            if !group.leader.is_some_and(|leader| group.voters.contains(&leader)) {
                group.leader = None;
            }
        }
        let Some((step, ticks)) = group.step.take() else { return };
        if ticks > 0 {
            group.step = Some((step, ticks - 1));
            return;
        }
        // A step that comes when the leader has no quorum any more is lost.
        if group.leader.is_none() || !self.decides(&group.voters) {
            return;
        }
        match step {
            Step::AddLearner { node, .. } => {
                group.learners.insert(node);
                group.lag.insert(node, COPY_ENTRIES);
            }
            Step::RemoveLearner { node, .. } => {
                group.learners.remove(&node);
            }
            Step::ChangeVoters { voters, .. } => {
                let known = |node| group.voters.contains(node) || group.learners.contains(node);
                assert!(voters.iter().all(known), "a voter out of nowhere");
                group.joint = Some(voters);
            }
            Step::TransferLeader { to, .. } => {
                if self.is_live(to) {
                    group.leader = Some(to);
                    group.term += 1;
                }
            }
        }
    }

    /// Whether any node could lose its disk and no partition its majority: also none
    /// that is on its way to fewer voters.
    pub fn can_lose_a_disk(&self) -> bool {
        self.groups.values().all(|group| {
            group.voters.len() >= 3
                && group.voters.iter().all(|&voter| self.is_live(voter))
                && group.step.is_none()
                && group.joint.is_none()
        })
    }

    /// Whether everything is as it should be, and all that are there have caught up.
    pub fn is_settled(&self, plan: &Plan) -> bool {
        let lags = |group: &Group| {
            let mut voters = group.voters.iter().filter(|&&voter| self.is_live(voter));
            voters.any(|voter| group.lag.get(voter).is_some_and(|&lag| lag > 0))
        };
        plan.whys().all(|why| why.doing == Doing::Settled)
            && !self
                .groups
                .values()
                .any(|group| group.step.is_some() || group.joint.is_some() || lags(group))
    }

    /// Runs until nothing is left to do. Gives how many ticks that took.
    pub fn settle(&mut self, ticks_max: usize) -> usize {
        for tick in 0..ticks_max {
            let plan = self.tick();
            if self.is_settled(&plan) {
                // Once there, it stays there.
                for _ in 0..20 {
                    let plan = self.tick();
                    assert!(plan.steps.is_empty(), "not settled after all: {:?}", plan.steps);
                }
                return tick;
            }
        }
        let plan = self.tick();
        let whys: Vec<_> = plan.whys().map(ToString::to_string).collect();
        panic!("not settled after {ticks_max} ticks: {:#?}\n{}", plan.steps, whys.join("\n"));
    }

    /// Asserts that every partition is as it should be, and nodes are even.
    pub fn must_be_even(&self) {
        let open = self.with(|standing| standing == Standing::Present);
        let wanted = self.settings.replicas.get().min(open.len());
        for (partition, group) in &self.groups {
            assert_eq!(group.voters.len(), wanted, "partition {partition}");
            assert!(group.voters.iter().all(|voter| open.contains(voter)), "partition {partition}");
        }
        let even = |loads: Vec<usize>, what: &str| {
            let (least, most) = (loads.iter().min(), loads.iter().max());
            let (least, most) = (least.expect("a node"), most.expect("a node"));
            assert!(most - least <= 1, "{what} are uneven: {loads:?}");
        };
        even(open.iter().map(|&node| self.voters_on(node)).collect(), "replicas");
        even(open.iter().map(|&node| self.led_by(node)).collect(), "leaders");
    }
}
