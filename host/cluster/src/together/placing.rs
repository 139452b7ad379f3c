//! Where replicas go: the node that leads the cluster's facts asks every node what
//! groups it has, plans, and has the groups' leaders carry out the next steps.
//!
//! Nothing of it has to survive: whoever leads the facts next sees the same groups
//! and goes on from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use stead_gossip::Health;
use stead_model::{NodeId, PartitionId, Term};
use stead_placement::{
    Change, Doing, NodeView, Observed, PartitionView, Plan, Progress, Settings, Standing, Target,
    Why, plan,
};

use super::{
    Cluster,
    fares::{Fares, Full},
    roll::{Decision, Roll},
    steps::{self, Steps},
    system_group::{self, Nodes},
    wire::{Ask, Group, Groups, Told},
};
use crate::{api::PlacementView, clock};

/// How often it is planned, while something is being done, and while nothing is.
const PERIOD: Duration = Duration::from_millis(200);
const REST: Duration = Duration::from_millis(800);
/// After how many rounds in which nothing was to be done it rests.
const QUIET: u32 = 10;
/// How long a node is waited for that is asked what groups it has.
const ASK_PATIENCE: Duration = Duration::from_millis(800);

struct Placer {
    target: Option<Target>,
    steps: Steps,
    /// Held while nodes that have gone are struck off the roll.
    striking: Arc<tokio::sync::Mutex<()>>,
    /// In how many rounds on end nothing was to be done.
    quiet: u32,
    /// Whose disks are full.
    full: Full,
    /// Who was there in the last round, and what is to become of them.
    seen: (BTreeSet<NodeId>, Roll),
    /// When the last round was.
    looked: Instant,
}

/// Plans, for as long as the node runs, whenever it leads the facts.
pub(super) async fn place(cluster: Cluster, settings: Settings) {
    let system = cluster.count().system();
    let mut placer: Option<Placer> = None;
    loop {
        tokio::time::sleep(PERIOD).await;
        if cluster.consensus().leads(system).borrow().is_none() {
            placer = None;
            cluster.has_planned(None);
            continue;
        }
        let placer = placer.get_or_insert_with(|| Placer {
            target: None,
            steps: Steps::default(),
            striking: Arc::default(),
            quiet: 0,
            full: Full::default(),
            seen: Default::default(),
            looked: Instant::now(),
        });
        if placer.is_due(&cluster) {
            placer.round(&cluster, &settings).await;
        }
    }
}

impl Placer {
    /// Whether it is to be planned again: to ask everybody costs every node something.
    fn is_due(&mut self, cluster: &Cluster) -> bool {
        let seen = (cluster.others(), cluster.roll());
        if seen != self.seen {
            self.seen = seen;
            self.quiet = 0;
        }
        self.quiet < QUIET || self.looked.elapsed() >= REST
    }

    async fn round(&mut self, cluster: &Cluster, settings: &Settings) {
        let (said, fares) = futures::future::join(ask_all(cluster), cluster.fares_of_all()).await;
        let roll = cluster.roll();
        self.full.note(&fares, Instant::now());
        let full = self.full.nodes();
        let mut nodes = nodes(cluster, &said, &roll);
        for (node, view) in &mut nodes {
            view.has_room = !full.contains(node);
        }
        let system = cluster.count().system();
        let mut views = BTreeMap::new();
        let groups = newest(&said);
        for (partition, (node, group)) in &groups {
            if *partition != system {
                let mut view = view(*node, group, &nodes, &fares);
                if let Some(heir) = self.steps.doubted(*partition, Instant::now()) {
                    // It did not come to lead a moment ago.
                    view.voters.entry(heir).and_modify(|of| *of = Progress::Unknown);
                }
                view.change = self.steps.under_way(*partition).or(view.change);
                views.insert(*partition, view);
            }
        }
        let observed = Observed { nodes: nodes.clone(), partitions: views, now: clock::now() };
        let plan = plan(settings, &observed, self.target.as_ref());
        for step in &plan.steps {
            let leader = observed.partitions.get(&step.partition()).and_then(|view| view.leader);
            if let Some(leader) = leader {
                self.steps.try_to(cluster, leader, steps::wire(step));
            }
        }
        if let Some((node, group)) = groups.get(&system)
            && group.leads
            && self.steps.under_way(system).is_none()
        {
            let nodes = system_nodes(&nodes, &roll, settings.grace_ms, full);
            let replicas = settings.replicas.get();
            if let Some(step) = system_group::next_step(group, *node, &nodes, replicas) {
                self.steps.try_to(cluster, *node, step);
            }
        }
        let is_quiet =
            plan.whys().all(|why| why.doing == Doing::Settled) && self.steps.none_is_under_way();
        self.quiet = if is_quiet { self.quiet.saturating_add(1) } else { 0 };
        self.looked = Instant::now();
        self.target = Some(plan.target.clone());
        cluster.has_planned(Some(plan));
        self.strike(cluster, &nodes, &groups, &roll);
    }

    /// Forgets that nodes were to be emptied that are gone and have nothing: if they
    /// come back, they are like any other.
    fn strike(
        &self,
        cluster: &Cluster,
        nodes: &BTreeMap<NodeId, NodeView>,
        groups: &BTreeMap<PartitionId, (NodeId, Group)>,
        roll: &Roll,
    ) {
        let live = |node: &NodeId| nodes.get(node).is_some_and(|view| view.standing.is_live());
        let members: BTreeSet<NodeId> = groups
            .values()
            .flat_map(|(_, group)| group.voters.iter().chain(&group.learners))
            .copied()
            .collect();
        let gone: Vec<(NodeId, Decision)> = roll
            .draining
            .iter()
            .filter(|node| !live(node) && !members.contains(node))
            .map(|node| (*node, Decision::Stay))
            .collect();
        let Ok(striking) = Arc::clone(&self.striking).try_lock_owned() else { return };
        let Some(ledger) = cluster.ledger().filter(|_| !gone.is_empty()) else { return };
        tokio::spawn(async move {
            let _changing = ledger.changing().await;
            if let Err(error) = ledger.decide(&gone).await {
                tracing::info!(%error, "nodes that are gone and empty are still on the roll");
            }
            drop(striking);
        });
    }
}

impl Cluster {
    fn has_planned(&self, plan: Option<Plan>) {
        let mut last = self.together().plan.lock().unwrap_or_else(PoisonError::into_inner);
        *last = plan.map(Arc::new);
    }

    /// What placement wants of each partition, if this node places.
    pub(super) fn plan_here(&self) -> Option<Vec<(u16, PlacementView)>> {
        let last = self.together().plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(last?.whys().map(|why| (why.partition.get(), placement_view(why))).collect())
    }
}

fn placement_view(why: &Why) -> PlacementView {
    PlacementView {
        leader: why.leader_wanted.map(|node| node.to_string()),
        nodes: why.target.iter().map(NodeId::to_string).collect(),
        reason: why.urgency.map(|urgency| urgency.to_string()),
        doing: (why.doing != Doing::Settled).then(|| why.doing.to_string()),
    }
}

pub(super) async fn ask_all(cluster: &Cluster) -> BTreeMap<NodeId, Groups> {
    let groups = |told| match told {
        Told::Groups(groups) => Some(groups),
        _ => None,
    };
    let mut said = ask_others(cluster, &Ask::Groups, groups).await;
    said.insert(cluster.id(), cluster.groups().await);
    said
}

/// Asks all other nodes something; what those say that answer in time, as `read` has it.
pub(super) async fn ask_others<T>(
    cluster: &Cluster,
    ask: &Ask,
    read: impl Fn(Told) -> Option<T>,
) -> BTreeMap<NodeId, T> {
    let (deadline, read) = (Instant::now() + ASK_PATIENCE, &read);
    let others = cluster.others().into_iter().map(|node| async move {
        let told = cluster.ask(node, ask, deadline).await.ok()?;
        Some((node, read(told)?))
    });
    futures::future::join_all(others).await.into_iter().flatten().collect()
}

/// Of each group what its leader says, in the highest term; or, if none leads it,
/// what a member says.
pub(super) fn newest(said: &BTreeMap<NodeId, Groups>) -> BTreeMap<PartitionId, (NodeId, Group)> {
    let mut newest: BTreeMap<PartitionId, (NodeId, Group)> = BTreeMap::new();
    for (node, groups) in said {
        for group in &groups.groups {
            let rank = |group: &Group| (group.leads, group.term, group.last);
            let partition = PartitionId(group.partition);
            match newest.get(&partition) {
                Some((_, known)) if rank(known) >= rank(group) => {}
                _ => drop(newest.insert(partition, (*node, group.clone()))),
            }
        }
    }
    newest
}

/// The nodes that gossip knows, and those that only groups know.
pub(super) fn nodes(
    cluster: &Cluster,
    said: &BTreeMap<NodeId, Groups>,
    roll: &Roll,
) -> BTreeMap<NodeId, NodeView> {
    let mut nodes = BTreeMap::new();
    let there = |node: &NodeId| match roll.draining.contains(node) {
        true => Standing::Draining,
        false => Standing::Present,
    };
    let members = cluster.gossip().members();
    let gone = |node| Standing::Gone { since: cluster.gone().since(node) };
    for member in &members.members {
        let identity = &member.identity;
        let zone = Some(identity.zone.as_str()).filter(|zone| !zone.is_empty());
        let standing = match said.get(&identity.node) {
            Some(_) => there(&identity.node),
            None if member.health != Health::Down && !cluster.gone().is_gone(identity.node) => {
                there(&identity.node)
            }
            None => gone(identity.node),
        };
        nodes.insert(identity.node, NodeView::new(standing, zone.map(str::to_owned)));
    }
    let own = &members.own;
    let zone = Some(own.zone.as_str()).filter(|zone| !zone.is_empty()).map(str::to_owned);
    nodes.insert(own.node, NodeView::new(there(&own.node), zone));
    for group in said.values().flat_map(|groups| &groups.groups) {
        for node in group.voters.iter().chain(&group.learners) {
            nodes.entry(*node).or_insert_with(|| NodeView::new(gone(*node), None));
        }
    }
    for node in &roll.given_up {
        if let Some(view) = nodes.get_mut(node) {
            view.standing = Standing::Removed;
        }
    }
    nodes
}

fn system_nodes(
    nodes: &BTreeMap<NodeId, NodeView>,
    roll: &Roll,
    grace_ms: u64,
    full: BTreeSet<NodeId>,
) -> Nodes {
    let of = |wanted: fn(&Standing) -> bool| {
        let of = nodes.iter().filter(move |(_, view)| wanted(&view.standing));
        of.map(|(node, _)| *node).collect()
    };
    let now = clock::now();
    let gone = nodes.iter().filter_map(|(node, view)| match view.standing {
        // One that was to go, and went, isn't waited for.
        Standing::Gone { .. } if roll.draining.contains(node) => Some((*node, true)),
        Standing::Gone { since } => Some((*node, since.plus_ms(grace_ms) <= now)),
        Standing::Removed => Some((*node, true)),
        Standing::Present | Standing::Draining => None,
    });
    Nodes {
        present: of(|standing| *standing == Standing::Present),
        draining: of(|standing| *standing == Standing::Draining),
        gone: gone.collect(),
        full,
    }
}

fn view(
    node: NodeId,
    group: &Group,
    nodes: &BTreeMap<NodeId, NodeView>,
    fares: &BTreeMap<NodeId, Fares>,
) -> PartitionView {
    let has_stopped =
        |of: &NodeId| fares.get(of).is_some_and(|fares| fares.stopped.contains(&group.partition));
    let progress = |of: &NodeId| {
        if has_stopped(of) {
            return Progress::Unknown;
        }
        if *of == node && group.leads {
            return Progress::Behind(0);
        }
        match group.matched.iter().find(|(matched, _)| matched == of) {
            Some((_, index)) if *index > 0 || group.last == 0 => {
                Progress::Behind(group.last.saturating_sub(*index))
            }
            _ => Progress::Unknown,
        }
    };
    let live = |of: &&NodeId| {
        nodes.get(of).is_some_and(|view| view.standing.is_live()) && !has_stopped(of)
    };
    let has_quorum =
        group.leads && group.voters.iter().filter(live).count() * 2 > group.voters.len();
    PartitionView {
        voters: group.voters.iter().map(|of| (*of, progress(of))).collect(),
        learners: group.learners.iter().map(|of| (*of, progress(of))).collect(),
        leader: group.leads.then_some(node),
        term: Term(group.term),
        change: group.is_changing.then_some(Change::Members),
        has_quorum,
    }
}
