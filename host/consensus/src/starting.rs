//! Opening a node's journal, and starting the groups over it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use openraft::{Config, Raft, SnapshotPolicy, async_runtime::WatchReceiver};
use stead_journal::{
    Journal, JournalError, JournalEvents, JournalOptions, PartitionLog, RecoveryReport,
};
use stead_model::NodeId;
use tokio::sync::{RwLock, mpsc, oneshot, watch};

use crate::{
    ConsensusError, GroupView, PlantedBug, adopt,
    blocking::Blocking,
    carrier::Carrier,
    consensus::Inner,
    electing::SeenMembership,
    handover::{Bidden, Handover},
    hub::{ConsensusEvents, Hub},
    keeping::Keeping,
    leadership,
    log::GroupLog,
    machine::Machine,
    member::Member,
    network::Network,
    presence::Presence,
    receiving::Incoming,
    refusing::Refusing,
    service::{Keep, Service, Task},
    transfers::Transfers,
};

/// How long is waited for the groups to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// With whom a node forms a cluster.
#[derive(Clone)]
pub enum Formation {
    /// With nobody: each group has this node as its only member, from the start.
    Alone,
    /// With others. A group has no members until it is [begun](crate::Consensus::begin)
    /// on one of them.
    Together(Arc<dyn Carrier>),
}

/// How long an append or a heartbeat may take, in milliseconds; a connection
/// that breaks is noticed sooner.
const APPEND_MS: u64 = 1_000;
/// A leader's lease, in milliseconds: for ever. Who leads is not decided by
/// clocks here, and nothing is read by lease.
const LEASE_MS: u64 = 10 * 365 * 24 * 3_600 * 1_000;

/// openraft's settings: no clock of its own, and snapshots when we say so.
fn config() -> Config {
    Config {
        cluster_name: "stead".into(),
        heartbeat_interval: APPEND_MS,
        // A leader whose lease has run out takes nothing, and a replica votes for
        // nobody while its leader's lease lasts, unless the service says so.
        election_timeout_min: LEASE_MS - 1,
        election_timeout_max: LEASE_MS,
        enable_tick: false,
        enable_heartbeat: false,
        enable_elect: false,
        snapshot_policy: SnapshotPolicy::Never,
        // What is let go is said by `keeping`, and by nobody else.
        max_in_snapshot_log_to_keep: u64::MAX,
        purge_batch_size: 1,
        // What was committed last may not have been written down.
        enable_leader_restore: Some(false),
        // A replica that has less than it once acknowledged is one whose directory was
        // replaced by a copy. It is sent what it lacks; else it would lack it for ever.
        allow_log_reversion: Some(true),
        ..Config::default()
    }
}

/// A journal that is open, before its groups are started.
pub(crate) struct Opened {
    journal: Journal,
    report: RecoveryReport,
    hub: Arc<Hub>,
    logs: Vec<PartitionLog>,
    keep: Keep,
    tasks: mpsc::UnboundedSender<Task>,
    taken: mpsc::UnboundedReceiver<Task>,
}

impl Opened {
    pub(crate) fn open(
        options: &JournalOptions,
        formation: &Formation,
        events: Arc<dyn ConsensusEvents>,
        open: impl FnOnce(Arc<dyn JournalEvents>) -> Result<(Journal, RecoveryReport), JournalError>,
    ) -> Result<Self, ConsensusError> {
        let (partitions, keep) = (options.partitions, Keep::of(options));
        let (tasks, taken) = mpsc::unbounded_channel();
        let hub = Arc::new(Hub {
            events,
            leads: partitions.all_and_system().map(|_| watch::Sender::default()).collect(),
            applied: partitions.all_and_system().map(|_| watch::Sender::default()).collect(),
            tasks: tasks.clone(),
            has_stopped: partitions.all_and_system().map(|_| AtomicBool::default()).collect(),
            stopped: Mutex::default(),
        });
        let (journal, report) = open(Arc::clone(&hub) as _)?;
        let node = journal.node();
        let logs: Vec<PartitionLog> = partitions.all_and_system().map(|p| journal.log(p)).collect();
        for (log, applied) in logs.iter().zip(&hub.applied) {
            let has_failed = journal.failure(log.partition()).is_some();
            if matches!(formation, Formation::Alone) && !has_failed {
                adopt::adopt(log, node)?;
            }
            applied.send_replace(log.applied().index);
        }
        Ok(Self { journal, report, hub, logs, keep, tasks, taken })
    }

    /// The handle, and the groups that are to be started.
    pub(crate) fn inner(
        self,
        formation: &Formation,
        planted: Option<PlantedBug>,
    ) -> (Inner, RecoveryReport, Groups) {
        let Self { journal, report, hub, logs, keep, tasks, taken } = self;
        let transfers = Transfers::default();
        let (stop, stopped) = oneshot::channel();
        let (node, presence) = (journal.node(), Arc::new(Presence::default()));
        let carrier = match formation {
            Formation::Alone => None,
            Formation::Together(carrier) => Some(Arc::clone(carrier)),
        };
        let groups = Groups {
            node,
            logs,
            carrier,
            journal: journal.clone(),
            hub: Arc::clone(&hub),
            presence: Arc::clone(&presence),
            planted,
            keep,
            transfers: transfers.clone(),
            tasks: tasks.clone(),
            taken,
            stopped,
        };
        let inner = Inner {
            journal,
            hub,
            node,
            presence,
            transfers,
            is_alone: matches!(formation, Formation::Alone),
            tasks,
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(None),
            task: Mutex::new(None),
        };
        (inner, report, groups)
    }
}

/// The groups of a node, before they are started.
pub(crate) struct Groups {
    node: NodeId,
    logs: Vec<PartitionLog>,
    carrier: Option<Arc<dyn Carrier>>,
    journal: Journal,
    hub: Arc<Hub>,
    presence: Arc<Presence>,
    planted: Option<PlantedBug>,
    keep: Keep,
    transfers: Transfers,
    tasks: mpsc::UnboundedSender<Task>,
    taken: mpsc::UnboundedReceiver<Task>,
    stopped: oneshot::Receiver<()>,
}

/// The groups of a node, started.
pub(crate) struct Started {
    service: Service,
    taken: mpsc::UnboundedReceiver<Task>,
    stopped: oneshot::Receiver<()>,
}

impl Started {
    /// Serves until it is told to stop, and stops the groups.
    pub(crate) async fn run(self) {
        self.service.run(self.taken, self.stopped).await;
        for member in self.service.members.values() {
            // One that has failed has stopped already.
            let _ = tokio::time::timeout(STOP_PATIENCE, member.raft.shutdown()).await;
        }
    }
}

impl Groups {
    pub(crate) async fn start(self) -> Result<Started, ConsensusError> {
        let Self { node, logs, carrier, journal, hub, presence, planted, .. } = self;
        let Self { keep, transfers, tasks, taken, stopped, .. } = self;
        let config = Arc::new(config());
        transfers.number_from(journal.draw()?);
        let (mut members, mut unstarted) = (BTreeMap::new(), BTreeMap::new());
        for log in logs {
            let partition = log.partition();
            if journal.failure(partition).is_some() {
                // What it has of it is told; it takes no part.
                unstarted.insert(partition, GroupView::unstarted(log).await);
                continue;
            }
            let failed = |cause: String| ConsensusError::Group { partition, cause };
            let (bidden, refusing) = (Bidden::default(), Refusing::default());
            let network = Network {
                partition,
                carrier: carrier.clone(),
                bidden: bidden.clone(),
                refusing: refusing.clone(),
                blocking: Blocking::of(&log),
                transfers: transfers.clone(),
            };
            let (storage, machine) = (GroupLog(log.clone(), planted), Machine(log.clone()));
            let raft = Raft::new(node, Arc::clone(&config), network, storage, machine)
                .await
                .map_err(|error| failed(error.to_string()))?;
            if let Some(applied) = hub.applied.get(usize::from(partition.get())) {
                let (journal, hub) = (journal.clone(), Arc::clone(&hub));
                let (raft, log, applied) = (raft.clone(), log.clone(), applied.subscribe());
                tokio::spawn(async move {
                    let flush = |through| journal.flush(partition, through);
                    let say = |leadership| hub.leadership(partition, leadership);
                    leadership::watch(&raft, &log, applied, planted, flush, say).await;
                    let running = raft.metrics().borrow_watched().running_state.clone();
                    if let Err(fatal) = running {
                        hub.has_ended(partition, &fatal);
                    }
                });
            }
            let (incoming, installing) = (Incoming::default(), RwLock::default());
            let handover = Handover::default();
            let mut keeping = Keeping::default();
            keeping.checkpointed(log.checkpointed().index);
            let member = Arc::new(Member {
                raft,
                log,
                membership: SeenMembership::default(),
                incoming,
                installing,
                keeping: Mutex::new(keeping),
                handover,
                bidden,
                refusing,
                planted,
            });
            members.insert(partition, member);
        }
        if carrier.is_none() {
            // All at once, so that they share the log's syncs.
            let stand = members.values().map(|member| stand_alone(member, node));
            for outcome in futures::future::join_all(stand).await {
                outcome?;
            }
        }
        let service =
            Service { node, members, unstarted, carrier, hub, presence, keep, transfers, tasks };
        Ok(Started { service, taken, stopped })
    }
}

/// Has a group of this node alone elect it.
async fn stand_alone(member: &Member, node: NodeId) -> Result<(), ConsensusError> {
    let partition = member.log.partition();
    let failed = |cause: String| ConsensusError::Group { partition, cause };
    let initialized =
        member.raft.is_initialized().await.map_err(|error| failed(error.to_string()))?;
    let result = if initialized {
        member.raft.trigger().elect(false).await.map_err(|error| error.to_string())
    } else {
        let members = std::collections::BTreeSet::from([node]);
        member.raft.initialize(members).await.map_err(|error| error.to_string())
    };
    result.map_err(failed)
}
