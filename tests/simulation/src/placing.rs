//! Placement: whoever leads the cluster's own partition plans with the product's
//! planner, by what the nodes say of their groups, and has the leaders carry it out.
//! Here the planner places that partition as it places others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use stead_consensus::{GroupView, MembersChange};
use stead_model::{LogIndex, NodeId, PartitionId};
use stead_placement::{
    Change, NodeView, Observed, PartitionView, Progress, Settings, Standing, Step, Target, plan,
};

use crate::{
    node::Node,
    routing::ask_for,
    talk::{Ask, Told},
};

/// How often it is planned.
const PERIOD: Duration = Duration::from_millis(300);
/// How long a node is waited for that is asked what groups it has.
const ASK_PATIENCE: Duration = Duration::from_millis(400);
/// How long a step may take until it is planned anew.
const STEP_PATIENCE: Duration = Duration::from_secs(5);

type UnderWay = Arc<Mutex<BTreeMap<PartitionId, Change>>>;
type Groups = BTreeMap<NodeId, Vec<(PartitionId, GroupView)>>;

/// What groups a node has, as it sees them.
pub async fn groups(node: &Node) -> Vec<(PartitionId, GroupView)> {
    let mut groups = Vec::new();
    for partition in node.count.all_and_system() {
        let view = node.consensus().view(partition).await;
        if !view.voters.is_empty() {
            groups.push((partition, view));
        }
    }
    groups
}

/// Makes a step, if this node leads the group.
///
/// # Errors
/// Why it wasn't made.
pub async fn make(node: &Node, step: Step) -> Result<(), String> {
    let partition = step.partition();
    let change = match step {
        Step::AddLearner { node, .. } => MembersChange::AddLearner(node),
        Step::ChangeVoters { voters, .. } => MembersChange::Voters(voters),
        Step::RemoveLearner { node, .. } => MembersChange::RemoveLearner(node),
        Step::TransferLeader { to, .. } => {
            node.consensus().transfer(partition, to);
            return Ok(());
        }
    };
    node.consensus().change(partition, change).await.map_err(|error| error.to_string())
}

/// Plans whenever this node leads the cluster's own partition.
pub async fn place(node: Arc<Node>, settings: Settings) {
    let mut target: Option<Target> = None;
    let under_way = UnderWay::default();
    loop {
        tokio::time::sleep(PERIOD).await;
        let system = node.count.system();
        if node.consensus().leads(system).borrow().is_none() {
            target = None;
            continue;
        }
        let said = ask_all(&node).await;
        let observed = observe(&node, &said, &under_way);
        let plan = plan(&settings, &observed, target.as_ref());
        for step in &plan.steps {
            let leader = observed.partitions.get(&step.partition()).and_then(|view| view.leader);
            if let Some(leader) = leader {
                node.trace.note(format_args!("m{} plans: {step}", node.machine));
                carry_out(&node, leader, step.clone(), &under_way);
            }
        }
        if node.trace.keeps_all() {
            for why in plan.whys() {
                node.trace.note(format_args!("m{} plans: {why}", node.machine));
            }
        }
        target = Some(plan.target);
    }
}

async fn ask_all(node: &Arc<Node>) -> Groups {
    let others: Vec<NodeId> =
        node.heard.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
    let asked = others.into_iter().map(|other| async move {
        match ask_for(node, other, Ask::Groups, ASK_PATIENCE).await {
            Some(Told::Groups(who, groups)) if who == other => Some((other, groups)),
            _ => None,
        }
    });
    let mut said: Groups = futures::future::join_all(asked).await.into_iter().flatten().collect();
    said.insert(node.id(), groups(node).await);
    said
}

fn observe(node: &Node, said: &Groups, under_way: &UnderWay) -> Observed {
    let mut nodes: BTreeMap<NodeId, NodeView> = BTreeMap::new();
    let heard = node.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let gone = |of: &NodeId| {
        // Measured by a clock that nobody sets.
        let gone_ms =
            heard.get(of).map_or(u64::MAX, |(_, since)| node.clock.run_ms().saturating_sub(*since));
        let now = node.clock.now().get();
        Standing::Gone { since: stead_model::TimestampMs(now.saturating_sub(gone_ms)) }
    };
    for (of, (there, _)) in &heard {
        let standing = match said.contains_key(of) || *there {
            true => Standing::Present,
            false => gone(of),
        };
        nodes.insert(*of, NodeView::new(standing, None));
    }
    nodes.insert(node.id(), NodeView::new(Standing::Present, None));
    for (_, group) in said.values().flatten() {
        for of in group.voters.iter().chain(&group.learners) {
            nodes.entry(*of).or_insert_with(|| NodeView::new(gone(of), None));
        }
    }
    let mut newest: BTreeMap<PartitionId, (NodeId, &GroupView)> = BTreeMap::new();
    for (of, groups) in said {
        for (partition, group) in groups {
            let rank = |who: NodeId, group: &GroupView| {
                (group.leader == Some(who), group.term, group.last.index)
            };
            match newest.get(partition) {
                Some((who, known)) if rank(*who, known) >= rank(*of, group) => {}
                _ => drop(newest.insert(*partition, (*of, group))),
            }
        }
    }
    let under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
    let partitions = newest.into_iter().map(|(partition, (of, group))| {
        let mut view = view(of, group, &nodes);
        view.change = under_way.get(&partition).copied().or(view.change);
        (partition, view)
    });
    let partitions = partitions.collect();
    Observed { nodes, partitions, now: node.clock.now() }
}

fn view(node: NodeId, group: &GroupView, nodes: &BTreeMap<NodeId, NodeView>) -> PartitionView {
    let leads = group.leader == Some(node);
    let progress = |of: &NodeId| {
        if *of == node && leads {
            return Progress::Behind(0);
        }
        let last = group.last.index.get();
        match group.matched.get(of) {
            Some(matched) if *matched > LogIndex(0) || last == 0 => {
                Progress::Behind(last.saturating_sub(matched.get()))
            }
            _ => Progress::Unknown,
        }
    };
    let live = |of: &&NodeId| nodes.get(of).is_some_and(|view| view.standing.is_live());
    let has_quorum = leads && group.voters.iter().filter(live).count() * 2 > group.voters.len();
    PartitionView {
        voters: group.voters.iter().map(|of| (*of, progress(of))).collect(),
        learners: group.learners.iter().map(|of| (*of, progress(of))).collect(),
        leader: leads.then_some(node),
        term: group.term,
        change: group.is_changing.then_some(Change::Members),
        has_quorum,
    }
}

fn carry_out(node: &Arc<Node>, leader: NodeId, step: Step, under_way: &UnderWay) {
    let partition = step.partition();
    let change = match &step {
        Step::TransferLeader { to, .. } => Change::Leader { to: *to },
        Step::AddLearner { .. } | Step::ChangeVoters { .. } | Step::RemoveLearner { .. } => {
            Change::Members
        }
    };
    {
        let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.contains_key(&partition) {
            return;
        }
        under_way.insert(partition, change);
    }
    let (node, under_way) = (Arc::clone(node), Arc::clone(under_way));
    tokio::spawn(async move {
        if leader == node.id() {
            let _ = tokio::time::timeout(STEP_PATIENCE, make(&node, step)).await;
        } else {
            let _ = ask_for(&node, leader, Ask::Step(step), STEP_PATIENCE).await;
        }
        under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
    });
}
