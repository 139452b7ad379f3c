//! Being cut off from other nodes on purpose, to see what a cluster does when its
//! network breaks.
//!
//! The cut is at the edge of this node: what comes from the others is dropped, by TCP
//! and by UDP, and what is for them isn't sent. Only a node that was started for such
//! trials can be cut off (`chaos.enabled`).

use std::collections::BTreeSet;

use stead_model::NodeId;

use super::Cluster;
use crate::api::OperateError;

/// The most nodes that one is cut off from.
const NODES_MAX: usize = 1_000;

impl Cluster {
    /// Cuts this node off from these nodes, and from no others.
    pub(super) fn cut_off_here(&self, nodes: BTreeSet<NodeId>) -> Result<(), OperateError> {
        let Some(together) = &self.0.together else { return Err(OperateError::alone()) };
        if !together.may_be_cut_off {
            return Err(OperateError::Refused(
                "this node wasn't started for trials: chaos.enabled is false. `stead up` starts \
                 nodes that were"
                    .into(),
            ));
        }
        if nodes.contains(&self.id()) || nodes.len() > NODES_MAX {
            return Err(OperateError::Refused(format!(
                "a node is cut off from at most {NODES_MAX} others, and not from itself"
            )));
        }
        let members = together.gossip.members();
        let of = members.members.iter().filter(|member| nodes.contains(&member.identity.node));
        let addresses = of.map(|member| member.identity.gossip).collect();
        let ignored = together.gossip.ignore(addresses);
        ignored.map_err(|error| OperateError::NotNow(error.to_string()))?;
        if nodes.is_empty() {
            tracing::info!("this node is cut off from nobody, as it was asked to be");
        } else {
            let nodes = nodes.len();
            tracing::warn!(nodes, "this node is cut off from others, as it was asked to be");
        }
        together.cut.set(nodes);
        Ok(())
    }
}
