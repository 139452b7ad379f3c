//! Taking over what the cluster agrees on: the types, and their components, which
//! are fetched from the nodes that have them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use stead_model::{ComponentHash, EntityType, NodeId, SequenceNumber, TypeVersion};

use super::{
    Cluster,
    routing::AskFailed,
    wire::{Ask, Told},
};
use crate::{Node, api::DeployError, catalog::TypeFacts, clock};

/// How soon a fact that could not be taken over is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a node is waited for that is asked for a part of a component.
const PART_PATIENCE: Duration = Duration::from_secs(10);
/// How long a change may take until the facts' leader has made it.
const CHANGE_PATIENCE: Duration = Duration::from_secs(60);
/// How long other nodes are waited for to take a change over.
const OTHERS_PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take until this node has taken it over.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(60);

/// Takes over the facts, for as long as the node runs.
pub(super) async fn follow(cluster: Cluster) {
    let mut applied = cluster.consensus().applied(cluster.count().system());
    let mut seen = SequenceNumber(0);
    let mut pending: BTreeMap<EntityType, TypeFacts> = BTreeMap::new();
    let mut has_caught_up = false;
    loop {
        applied.borrow_and_update();
        let Some(ledger) = cluster.ledger() else { return };
        let read = tokio::task::spawn_blocking(move || ledger.after(seen)).await;
        match read {
            Ok(Ok((facts, through))) => {
                seen = through;
                pending.extend(facts.into_iter().map(|fact| (fact.entity_type, fact.facts)));
            }
            Ok(Err(error)) => tracing::error!(%error, "the cluster's facts can't be read"),
            Err(_) => return,
        }
        let mut left = BTreeMap::new();
        for (entity_type, facts) in std::mem::take(&mut pending) {
            if let Err(error) = take_over(&cluster, &entity_type, &facts).await {
                tracing::warn!(%entity_type, %error, "a type can't be served yet");
                left.insert(entity_type, facts);
            }
        }
        pending = left;
        // A node that has no part in the facts yet knows nothing of them.
        let takes_part = cluster.takes_part(has_caught_up).await;
        has_caught_up = takes_part;
        cluster.has_followed(seen, pending.is_empty() && takes_part);
        let changed = applied.changed();
        if pending.is_empty() && takes_part {
            if changed.await.is_err() {
                return;
            }
        } else {
            let _ = tokio::time::timeout(AGAIN, changed).await;
        }
    }
}

async fn take_over(
    cluster: &Cluster,
    entity_type: &EntityType,
    facts: &TypeFacts,
) -> Result<(), DeployError> {
    if let Some(version) = facts.current() {
        cluster.ensure_component(version.component, None).await?;
    }
    let (node, entity_type, facts) = (cluster.node().clone(), entity_type.clone(), facts.clone());
    let work = move || node.follow_type(&entity_type, facts);
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(DeployError::Storage(format!("it was broken off: {error}"))))
}

impl Cluster {
    /// Whether this node has a replica of the facts that shows all that there were
    /// when it came: up to the entry that made it a member, and what it knows to be
    /// committed. Once it does, later ones come as they are made.
    async fn takes_part(&self, has_caught_up: bool) -> bool {
        let system = self.count().system();
        let view = self.consensus().view(system).await;
        let member = view.voters.contains(&self.id()) || view.learners.contains(&self.id());
        let through = view.committed.max(view.members_at);
        member && (has_caught_up || *self.consensus().applied(system).borrow() >= through)
    }

    /// Has a component here: fetches it if it isn't, from a node that should have
    /// it, or from any.
    async fn ensure_component(
        &self,
        component: ComponentHash,
        from: Option<NodeId>,
    ) -> Result<(), DeployError> {
        let node = self.node().clone();
        let here = tokio::task::spawn_blocking(move || node.component(component)).await;
        if matches!(here, Ok(Ok(Some(_)))) {
            return Ok(());
        }
        let mut nodes: Vec<NodeId> = from.into_iter().filter(|from| *from != self.id()).collect();
        nodes.extend(self.others());
        for other in nodes {
            match self.fetch(other, component).await {
                Ok(Some(bytes)) => {
                    let node = self.node().clone();
                    let kept = move || node.keep_component(component, &bytes);
                    let kept = tokio::task::spawn_blocking(kept).await;
                    return kept
                        .unwrap_or_else(|error| Err(DeployError::Storage(error.to_string())));
                }
                Ok(None) => {}
                Err(why) => tracing::info!(node = %other.short(), why, "no component came"),
            }
        }
        Err(DeployError::UnknownComponent(component))
    }

    async fn fetch(
        &self,
        from: NodeId,
        component: ComponentHash,
    ) -> Result<Option<Vec<u8>>, String> {
        let most = self.node().component_bytes_max();
        let mut bytes: Vec<u8> = Vec::new();
        loop {
            let ask = Ask::Component { component, from: bytes.len() as u64 };
            let told = self.ask(from, &ask, Instant::now() + PART_PATIENCE).await;
            match told.map_err(|failed| failed.to_string())? {
                Told::Component(None) => return Ok(None),
                Told::Component(Some((_, size))) if size > most => {
                    return Err(format!("it has {size} bytes, over {most}"));
                }
                Told::Component(Some((part, size))) => {
                    bytes.extend_from_slice(&part);
                    if bytes.len() as u64 >= size {
                        return Ok(Some(bytes));
                    }
                    if part.is_empty() {
                        return Err("a part of it was empty".into());
                    }
                }
                told => return Err(format!("an answer that does not fit: {told:?}")),
            }
        }
    }

    /// Puts a component into service; where the facts are led.
    pub(super) async fn deploy_here(
        &self,
        from: Option<NodeId>,
        component: ComponentHash,
        manifest: stead_model::Manifest,
    ) -> Result<SequenceNumber, DeployError> {
        self.ensure_component(component, from).await?;
        let entity_type = manifest.entity_type.clone();
        self.change_here(entity_type, move |node| {
            node.plan_deploy(component, manifest, clock::now())
        })
        .await
    }

    /// Puts an earlier version back; where the facts are led.
    pub(super) async fn rollback_here(
        &self,
        entity_type: &EntityType,
        version: TypeVersion,
    ) -> Result<SequenceNumber, DeployError> {
        let of = entity_type.clone();
        self.change_here(entity_type.clone(), move |node| node.plan_rollback(&of, version)).await
    }

    /// Takes a type out of service; where the facts are led.
    pub(super) async fn undeploy_here(
        &self,
        entity_type: &EntityType,
    ) -> Result<SequenceNumber, DeployError> {
        let of = entity_type.clone();
        self.change_here(entity_type.clone(), move |node| node.plan_undeploy(&of)).await
    }

    async fn change_here(
        &self,
        entity_type: EntityType,
        plan: impl FnOnce(&Node) -> Result<TypeFacts, DeployError> + Send + 'static,
    ) -> Result<SequenceNumber, DeployError> {
        let ledger = self.ledger().ok_or(DeployError::Stopping)?;
        let _changing = ledger.changing().await;
        // What is planned builds on all facts that there are.
        self.followed(ledger.last()?).await?;
        let node = self.node().clone();
        let facts = tokio::task::spawn_blocking(move || plan(&node))
            .await
            .unwrap_or_else(|error| Err(DeployError::Storage(error.to_string())))?;
        let made = ledger.put(&entity_type, &facts).await?;
        self.followed(made).await?;
        self.others_follow(made).await;
        Ok(made)
    }

    /// Waits a while until the nodes that are there have taken over the facts up to
    /// this one: whoever is told that a type is deployed may call any of them.
    async fn others_follow(&self, through: SequenceNumber) {
        let deadline = Instant::now() + OTHERS_PATIENCE;
        let others = self.others().into_iter().map(|node| async move {
            let told = self.ask(node, &Ask::Follow { through }, deadline).await;
            if !matches!(told, Ok(Told::Followed(true))) {
                tracing::warn!(node = %node.short(), "a node has not taken over a type in time");
            }
        });
        futures::future::join_all(others).await;
    }

    /// Has a change made where the facts are led, and waits until this node has
    /// taken it over.
    pub(super) async fn change(&self, ask: Ask) -> Result<(), DeployError> {
        let deadline = Instant::now() + CHANGE_PATIENCE;
        let system = self.count().system();
        let made = loop {
            let failed = match self.consensus().leader(system) {
                Some(node) if node == self.id() => break self.change_asked(ask).await?,
                Some(node) => match self.ask(node, &ask, deadline).await {
                    Ok(Told::Deployed(made)) => break made?,
                    Ok(told) => format!("an answer that does not fit: {told:?}"),
                    Err(AskFailed::NotTaken(why)) => why,
                    Err(AskFailed::Unknown(why)) => {
                        let what = "it isn't known whether it was done; `stead ls` tells";
                        return Err(DeployError::Storage(format!("{what}: {why}")));
                    }
                },
                None => "nobody leads the cluster's facts".into(),
            };
            if Instant::now() + AGAIN >= deadline {
                return Err(DeployError::Storage(failed));
            }
            tokio::time::sleep(AGAIN / 5).await;
        };
        self.followed(made).await
    }

    async fn change_asked(&self, ask: Ask) -> Result<SequenceNumber, DeployError> {
        match ask {
            Ask::Deploy { component, manifest } => {
                let manifest = manifest.read().map_err(DeployError::Storage)?;
                self.deploy_here(None, component, manifest).await
            }
            Ask::Rollback { entity_type, version } => {
                self.rollback_here(&entity_type, version).await
            }
            Ask::Undeploy { entity_type } => self.undeploy_here(&entity_type).await,
            other => Err(DeployError::Storage(format!("this is no change of types: {other:?}"))),
        }
    }

    /// Waits until this node has taken over the facts up to this one.
    pub(super) async fn followed(&self, through: SequenceNumber) -> Result<(), DeployError> {
        let Some(mut followed) = self.following() else { return Err(DeployError::Stopping) };
        let there = followed.wait_for(|(seen, all)| *seen >= through && *all);
        match tokio::time::timeout(FOLLOW_PATIENCE, there).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(DeployError::Stopping),
            Err(_) => Err(DeployError::Storage(
                "this node has not taken over all that the cluster agreed on; see its log".into(),
            )),
        }
    }
}
