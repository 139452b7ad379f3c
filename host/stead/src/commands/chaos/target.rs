//! Which node is meant.

use stead_cluster::api::ClusterStatus;
use stead_model::PartitionCount;

use crate::{
    arguments,
    client::Request,
    commands::up::admin_of,
    failure::{Exit, Failure},
    local::{Condition, LocalCluster, LocalNode},
};

/// The words that name the node that runs an entity.
const LEADER_OF: &str = "leader-of";

/// The words that name a node.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The node, or leader-of TYPE/ID
    #[arg(value_name = "NODE | leader-of TYPE/ID", required = true, num_args = 1..=2)]
    words: Vec<String>,
}

impl Target {
    /// The node that they name.
    pub async fn of<'a>(&self, cluster: &'a LocalCluster) -> Result<&'a LocalNode, Failure> {
        match self.words.as_slice() {
            [leader_of, address] if leader_of == LEADER_OF => leader(cluster, address).await,
            [name] if name != LEADER_OF => cluster.pick(name),
            _ => Err(Failure::usage("a node is one word, or leader-of TYPE/ID")
                .hint("as in `stead chaos kill 2`, or `stead chaos kill leader-of cart/42`")),
        }
    }
}

async fn leader<'a>(cluster: &'a LocalCluster, address: &str) -> Result<&'a LocalNode, Failure> {
    let address = arguments::address(address).map_err(Failure::usage)?;
    let count = PartitionCount::new(cluster.partitions)
        .map_err(|error| Failure::failed(error.to_string()))?;
    let partition = count.partition_of(&address);
    let status = status(cluster).await?;
    let place = status.partitions.iter().find(|place| place.partition == partition.get());
    let leader = place.and_then(|place| place.leader.as_deref()).ok_or_else(|| {
        Failure::new(
            Exit::NotNow,
            format!("{address} is in partition {partition}, which nobody leads"),
        )
        .hint("try again in a moment; `stead cluster status` shows whether it comes back")
    })?;
    cluster.pick(leader)
}

/// How the cluster fares, by the first node that says.
pub async fn status(cluster: &LocalCluster) -> Result<ClusterStatus, Failure> {
    let what = "asking for the cluster";
    let mut last = Failure::new(Exit::Unreachable, "no node of the local cluster runs")
        .hint("`stead chaos restart NODE` starts one, `stead chaos resume NODE` has one go on");
    for node in cluster.nodes.iter().filter(|node| node.condition() == Condition::Runs) {
        match admin_of(node)?.send(what, Request::get("/cluster")).await {
            Ok(answer) => return answer.json(what),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}
