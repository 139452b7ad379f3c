//! Which other nodes are there, as far as this node knows, and which groups
//! they lead.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use stead_model::{NodeId, PartitionId, Term};
use tokio::{sync::watch, time::Instant};

/// A node that is there and is said to lead a group, but hasn't said so itself
/// for so long, doesn't.
const SILENCE: Duration = Duration::from_millis(1_500);

/// What is known of the other nodes.
#[derive(Default)]
pub(crate) struct Presence {
    known: Mutex<Known>,
    /// Told of it when others lead than before.
    leaders: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    there: BTreeSet<NodeId>,
    has_resigned: bool,
    gone: BTreeSet<NodeId>,
    /// What each node last said that it leads, and when.
    said: BTreeMap<NodeId, (Instant, BTreeMap<PartitionId, Term>)>,
    /// The groups that this node leads, and of whose voters too few are there.
    without_quorum: BTreeSet<PartitionId>,
    /// Since when it is doubted that a node leads a group, and when that was
    /// last asked.
    doubts: BTreeMap<(NodeId, PartitionId), (Instant, Instant)>,
}

impl Presence {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node is gone, or there again. Whether that is news.
    pub(crate) fn set(&self, node: NodeId, there: bool) -> bool {
        let mut known = self.known();
        if there {
            known.there.insert(node) | known.gone.remove(&node)
        } else {
            known.there.remove(&node) | known.gone.insert(node)
        }
    }

    /// Changes whenever this node hears that others lead than before.
    pub(crate) fn leaders(&self) -> watch::Receiver<()> {
        self.leaders.subscribe()
    }

    pub(crate) fn leaders_changed(&self) {
        self.leaders.send_replace(());
    }

    /// This node is not to lead anything more.
    pub(crate) fn resign(&self) {
        self.known().has_resigned = true;
    }

    pub(crate) fn has_resigned(&self) -> bool {
        self.known().has_resigned
    }

    /// The nodes that were said to be there.
    pub(crate) fn there(&self) -> BTreeSet<NodeId> {
        self.known().there.clone()
    }

    /// Who leads a group, by what the nodes that aren't gone said last.
    pub(crate) fn leader_of(&self, partition: PartitionId) -> Option<NodeId> {
        let known = self.known();
        let said = known.said.iter().filter(|(node, _)| !known.gone.contains(node));
        let leads = said.filter_map(|(node, (_, leads))| Some((*leads.get(&partition)?, *node)));
        leads.max().map(|(_, node)| node)
    }

    /// Whether enough voters of a group that this node leads are there.
    pub(crate) fn set_quorum(&self, partition: PartitionId, has: bool) {
        let without = &mut self.known().without_quorum;
        let _ = if has { without.remove(&partition) } else { without.insert(partition) };
    }

    /// Whether they are, as far as this node knows.
    pub(crate) fn has_quorum(&self, partition: PartitionId) -> bool {
        !self.known().without_quorum.contains(&partition)
    }

    pub(crate) fn is_gone(&self, node: NodeId) -> bool {
        self.known().gone.contains(&node)
    }

    /// A node says what it leads.
    pub(crate) fn heard(
        &self,
        node: NodeId,
        leads: impl Iterator<Item = (PartitionId, Term)>,
        now: Instant,
    ) {
        let leads: BTreeMap<PartitionId, Term> = leads.collect();
        let mut known = self.known();
        let (at, before) = known.said.entry(node).or_insert_with(|| (now, BTreeMap::new()));
        *at = now;
        if *before != leads {
            *before = leads;
            drop(known);
            self.leaders_changed();
        }
    }

    /// Whether a node that is said to lead a group may be taken not to: it is
    /// gone, or has been saying otherwise for a while.
    pub(crate) fn leads_no_more(
        &self,
        node: NodeId,
        partition: PartitionId,
        term: Term,
        now: Instant,
    ) -> bool {
        let mut known = self.known();
        if known.gone.contains(&node) {
            return true;
        }
        let says_so = known
            .said
            .get(&node)
            .is_some_and(|(_, leads)| leads.get(&partition).is_some_and(|said| *said >= term));
        if says_so {
            known.doubts.remove(&(node, partition));
            return false;
        }
        let (since, asked) = known.doubts.entry((node, partition)).or_insert((now, now));
        if now.saturating_duration_since(*asked) > SILENCE / 2 {
            // It wasn't in question meanwhile: another led.
            *since = now;
        }
        *asked = now;
        now.saturating_duration_since(*since) >= SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(7);
    const GROUP: PartitionId = PartitionId(3);

    #[test]
    fn a_node_that_is_gone_leads_nothing_until_it_is_there_again() {
        let presence = Presence::default();
        let now = Instant::now();
        presence.heard(NODE, [(GROUP, Term(2))].into_iter(), now);
        assert!(!presence.leads_no_more(NODE, GROUP, Term(2), now));
        assert!(presence.set(NODE, false), "it is news");
        assert!(!presence.set(NODE, false), "it is none");
        assert!(presence.is_gone(NODE));
        assert!(presence.leads_no_more(NODE, GROUP, Term(2), now));
        assert_eq!(presence.leader_of(GROUP), None);
        assert!(presence.set(NODE, true));
        assert_eq!(presence.leader_of(GROUP), Some(NODE));
        assert_eq!(presence.there().len(), 1);
        assert!(!presence.leads_no_more(NODE, GROUP, Term(2), now));
    }

    #[test]
    fn who_waits_for_a_leader_is_told_of_news_alone() {
        let presence = Presence::default();
        let mut leaders = presence.leaders();
        let now = Instant::now();
        presence.heard(NODE, [(GROUP, Term(2))].into_iter(), now);
        assert!(leaders.has_changed().expect("it is there"));
        leaders.mark_unchanged();
        presence.heard(NODE, [(GROUP, Term(2))].into_iter(), now);
        assert!(!leaders.has_changed().expect("it is there"), "it was said before");
        presence.heard(NODE, [].into_iter(), now);
        assert!(leaders.has_changed().expect("it is there"));
    }

    #[test]
    fn a_node_that_does_not_say_that_it_leads_is_doubted_after_a_while() {
        let presence = Presence::default();
        let begin = Instant::now();
        presence.heard(NODE, [(GROUP, Term(2))].into_iter(), begin);
        assert!(!presence.leads_no_more(NODE, GROUP, Term(3), begin), "it may be about to");
        assert!(!presence.leads_no_more(NODE, GROUP, Term(3), begin + SILENCE / 2));
        assert!(presence.leads_no_more(NODE, GROUP, Term(3), begin + SILENCE));
        presence.heard(NODE, [(GROUP, Term(3))].into_iter(), begin + SILENCE);
        assert!(!presence.leads_no_more(NODE, GROUP, Term(3), begin + SILENCE));
        assert!(
            !presence.leads_no_more(NODE, GROUP, Term(4), begin + SILENCE),
            "doubts begin anew"
        );
    }
}
