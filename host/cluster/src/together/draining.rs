//! Having a node emptied, and having it stay after all. What is said here is a fact;
//! placement acts on it.

use std::time::{Duration, Instant};

use stead_model::NodeId;
use stead_placement::Standing;

use super::{
    Cluster,
    placing::{ask_all, nodes},
    roll::{Decision, MARKED_MAX},
    wire::{Ask, Told},
};
use crate::api::{DrainAnswer, OperateError};

/// How long it may take until the node that leads the facts has said it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take until this node has heard of it.
const HEARD_PATIENCE: Duration = Duration::from_secs(5);
/// How soon it is tried again.
const AGAIN: Duration = Duration::from_millis(200);

impl Cluster {
    /// Has something decided where the facts are led, and waits until this node has
    /// heard of it. What is asked may be asked twice.
    pub(super) async fn decided(&self, ask: &Ask) -> Result<DrainAnswer, OperateError> {
        let answer = self.decided_somewhere(ask).await?;
        let node = NodeId::parse(&answer.node);
        let mut roll = self.together().roll.subscribe();
        let heard = roll.wait_for(|roll| {
            node.is_none_or(|node| roll.draining.contains(&node) == answer.draining)
        });
        // It is decided; whoever looks here in the meantime sees it a little later.
        let _ = tokio::time::timeout(HEARD_PATIENCE, heard).await;
        Ok(answer)
    }

    async fn decided_somewhere(&self, ask: &Ask) -> Result<DrainAnswer, OperateError> {
        if self.peers().is_none() {
            return Err(OperateError::alone());
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let failed = match self.consensus().leader(self.count().system()) {
                Some(node) if node == self.id() => match self.decided_here(ask).await {
                    Err(OperateError::NotNow(why)) => why,
                    answer => return answer,
                },
                Some(node) => match self.ask(node, ask, deadline).await {
                    Ok(Told::Drained(Err(OperateError::NotNow(why)))) => why,
                    Ok(Told::Drained(answer)) => return answer,
                    Ok(told) => format!("an answer that does not fit: {told:?}"),
                    Err(failed) => failed.to_string(),
                },
                None => "nobody leads the cluster's facts; `stead cluster status` shows why".into(),
            };
            if Instant::now() + AGAIN >= deadline {
                return Err(OperateError::NotNow(failed));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn decided_here(&self, ask: &Ask) -> Result<DrainAnswer, OperateError> {
        match ask {
            Ask::Drain { node, force } => self.drain_here(*node, *force).await,
            Ask::Stay { node } => self.stay_here(*node).await,
            other => Err(OperateError::Refused(format!("this is no decision: {other:?}"))),
        }
    }

    /// Decides that a node is to be emptied; where the facts are led.
    pub(super) async fn drain_here(
        &self,
        node: NodeId,
        force: bool,
    ) -> Result<DrainAnswer, OperateError> {
        let ledger = self.ledger().ok_or_else(OperateError::alone)?;
        // One decision at a time: two that are fine alone may leave too few nodes.
        let _changing = ledger.changing().await;
        let roll = self.roll();
        let known = nodes(self, &ask_all(self).await, &roll);
        let short = node.short();
        match known.get(&node).map(|view| view.standing) {
            Some(Standing::Present | Standing::Draining) => {}
            Some(Standing::Gone { .. }) => {
                return Err(OperateError::Refused(format!(
                    "node {short} is gone: what it had is made again on other nodes by itself, \
                     after cluster.grace"
                )));
            }
            Some(Standing::Removed) => {
                return Err(OperateError::Refused(format!("node {short} was given up")));
            }
            None => return Err(unknown(node)),
        }
        let staying = known
            .iter()
            .filter(|(other, view)| **other != node && view.standing == Standing::Present)
            .count();
        let wanted = self.together().replicas;
        if staying == 0 {
            return Err(OperateError::Refused(format!(
                "no other node would stay to take what node {short} has; start another first"
            )));
        }
        let mut warnings = Vec::new();
        if staying < wanted {
            if !force {
                return Err(OperateError::Refused(format!(
                    "{staying} {} would stay, and each partition is to have {wanted} replicas; \
                     start another node first, or say --force to go on with {staying} of each",
                    if staying == 1 { "node" } else { "nodes" }
                )));
            }
            warnings.push(format!(
                "each partition will have {staying} {} instead of {wanted} until another node comes",
                if staying == 1 { "replica" } else { "replicas" },
            ));
        }
        if roll.draining.len() >= MARKED_MAX && !roll.draining.contains(&node) {
            return Err(OperateError::Refused(format!(
                "{MARKED_MAX} nodes are being emptied already; wait, or have some stay"
            )));
        }
        if !roll.draining.contains(&node) {
            let decided = ledger.decide(&[(node, Decision::Drain)]).await;
            decided.map_err(|error| OperateError::NotNow(error.to_string()))?;
            tracing::info!(node = %short, "a node is to be emptied");
        }
        Ok(DrainAnswer {
            node: node.to_string(),
            draining: true,
            nodes_staying: staying as u64,
            warnings,
        })
    }

    /// Decides that a node stays; where the facts are led.
    pub(super) async fn stay_here(&self, node: NodeId) -> Result<DrainAnswer, OperateError> {
        let ledger = self.ledger().ok_or_else(OperateError::alone)?;
        let _changing = ledger.changing().await;
        let roll = self.roll();
        let known = nodes(self, &ask_all(self).await, &roll);
        if roll.draining.contains(&node) {
            let decided = ledger.decide(&[(node, Decision::Stay)]).await;
            decided.map_err(|error| OperateError::NotNow(error.to_string()))?;
            tracing::info!(node = %node.short(), "a node stays that was to be emptied");
        } else if !known.contains_key(&node) {
            return Err(unknown(node));
        }
        let stays = |of: &NodeId, standing| *of == node || standing == Standing::Present;
        let staying = known.iter().filter(|(of, view)| stays(of, view.standing)).count();
        Ok(DrainAnswer {
            node: node.to_string(),
            draining: false,
            nodes_staying: staying as u64,
            warnings: Vec::new(),
        })
    }
}

fn unknown(node: NodeId) -> OperateError {
    OperateError::UnknownNode(format!(
        "there is no node {}; `stead cluster status` shows those that there are",
        node.short()
    ))
}
