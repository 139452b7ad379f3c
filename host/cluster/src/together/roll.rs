//! The roll of the cluster's nodes: what was decided about them.
//!
//! Who is there is found out; whether a node is to be emptied, or was given up, is
//! said by somebody and has to outlive every node that heard it. So it is a fact of
//! the cluster: an event in its own partition, which every node follows.

use std::{collections::BTreeSet, time::Duration};

use stead_model::{Event, NodeId, SequenceNumber};

use super::Cluster;

/// How soon it is looked again whether something was decided, whatever was heard.
const AGAIN: Duration = Duration::from_secs(1);
/// The most nodes that are marked to be emptied, and the most that are given up.
pub const MARKED_MAX: usize = 1_000;

/// How an event's body is written: this byte, then the node's number, its highest
/// byte first.
const FORMAT: u8 = 1;

/// What is decided about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is to be emptied.
    Drain,
    /// It is like any other.
    Stay,
    /// Its data is given up. It is refused if it comes back with that.
    GiveUp,
}

impl Decision {
    const ALL: [(Self, &str); 3] =
        [(Self::Drain, "drain"), (Self::Stay, "stay"), (Self::GiveUp, "give-up")];

    /// The event that says so of a node.
    pub fn event(self, node: NodeId) -> Event {
        let name = Self::ALL.iter().find(|(decision, _)| *decision == self);
        let name = name.map_or("stay", |(_, name)| name);
        let mut body = vec![FORMAT];
        body.extend_from_slice(&node.get().to_be_bytes());
        Event { name: name.into(), body }
    }

    /// Reads what [`Self::event`] wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn read(name: &str, body: &[u8]) -> Result<(NodeId, Self), String> {
        let decision = Self::ALL.iter().find(|(_, known)| *known == name);
        let (decision, _) = decision.ok_or_else(|| format!("{name:?} is no decision"))?;
        match body.split_first() {
            Some((&FORMAT, node)) => {
                let node = node.try_into().map_err(|_| "it is no node's number".to_owned())?;
                Ok((NodeId(u128::from_be_bytes(node)), *decision))
            }
            Some((format, _)) => {
                Err(format!("it has format {format}, and this version reads format {FORMAT}"))
            }
            None => Err("it is empty".into()),
        }
    }
}

/// What was decided, so far as a node has heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// The nodes that are to be emptied.
    pub draining: BTreeSet<NodeId>,
    /// The nodes that were given up.
    pub given_up: BTreeSet<NodeId>,
}

impl Roll {
    /// From now on this holds. What is given up stays so.
    pub fn note(&mut self, node: NodeId, decision: Decision) {
        match decision {
            Decision::Drain if self.given_up.contains(&node) => {}
            Decision::Drain => _ = self.draining.insert(node),
            Decision::Stay => _ = self.draining.remove(&node),
            Decision::GiveUp => {
                self.draining.remove(&node);
                self.given_up.insert(node);
            }
        }
    }
}

impl Cluster {
    /// Reads what was decided after a number; the number of the last decision.
    pub(super) async fn read_roll(&self, seen: SequenceNumber) -> SequenceNumber {
        let Some(ledger) = self.ledger() else { return seen };
        let read = tokio::task::spawn_blocking(move || ledger.decisions_after(seen)).await;
        match read {
            Ok(Ok((decisions, through))) => {
                if !decisions.is_empty() {
                    self.together().roll.send_modify(|roll| {
                        for (node, decision) in decisions {
                            roll.note(node, decision);
                        }
                    });
                    let given_up = self.together().roll.borrow().given_up.clone();
                    self.together().given_up.add(given_up);
                }
                through
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "what was decided about the cluster's nodes can't be read");
                seen
            }
            Err(_) => seen,
        }
    }
}

/// Follows what is decided, for as long as the node runs.
pub(super) async fn follow(cluster: Cluster) {
    let mut applied = cluster.consensus().applied(cluster.count().system());
    let mut seen = SequenceNumber(0);
    let mut asked = BTreeSet::new();
    loop {
        applied.borrow_and_update();
        seen = cluster.read_roll(seen).await;
        cluster.ask_whether_welcome(&mut asked).await;
        if let Ok(Err(_)) = tokio::time::timeout(AGAIN, applied.changed()).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_written_as_format_1_and_read() {
        let node = NodeId(0x0102);
        let bytes: [u8; 17] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2];
        for (decision, name) in Decision::ALL {
            let event = decision.event(node);
            assert_eq!((event.name.as_ref(), event.body.as_slice()), (name, &bytes[..]));
            assert_eq!(Decision::read(name, &bytes), Ok((node, decision)));
        }
        assert!(Decision::read("leave", &bytes).is_err());
        assert!(Decision::read("drain", &bytes[..16]).is_err());
        assert!(Decision::read("drain", &[]).is_err());
        assert!(Decision::read("drain", &[2; 17]).is_err());
    }

    #[test]
    fn what_is_given_up_stays_so() {
        let (mut roll, node) = (Roll::default(), NodeId(1));
        roll.note(node, Decision::Drain);
        assert!(roll.draining.contains(&node));
        roll.note(node, Decision::Stay);
        assert_eq!(roll, Roll::default());
        roll.note(node, Decision::Drain);
        roll.note(node, Decision::GiveUp);
        roll.note(node, Decision::Stay);
        roll.note(node, Decision::Drain);
        assert!(roll.draining.is_empty() && roll.given_up.contains(&node));
    }
}
