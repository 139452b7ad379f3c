//! How each fault is injected, and healed.

use std::time::Duration;

use stead_tests::{cluster::Cluster, network::Cut, random::Random};

use crate::kinds::Fault;

/// How many nodes there are when no other takes part.
pub const NODES: usize = 3;
/// The place of the one that comes and goes.
const FOURTH: usize = NODES;

/// What faults are done to.
pub struct Victim<'a> {
    pub cluster: &'a mut Cluster,
    pub random: &'a mut Random,
}

impl Victim<'_> {
    /// Does it, and undoes it. Says what was done.
    pub async fn suffer(&mut self, fault: Fault) -> String {
        match fault {
            Fault::Kill => {
                let at = self.any();
                self.cluster.kill(at);
                self.hold().await;
                self.cluster.restart(at).await;
                format!("node {at}")
            }
            Fault::Terminate => {
                let at = self.any();
                self.cluster.stop(at);
                self.hold().await;
                self.cluster.restart(at).await;
                format!("node {at}")
            }
            Fault::FreezeLeader => {
                let (leads, _) = self.leads().await;
                self.freeze(most(&leads)).await
            }
            Fault::FreezeFacts => {
                let (_, facts) = self.leads().await;
                self.freeze(facts).await
            }
            Fault::FreezeFollower => {
                let (mut leads, facts) = self.leads().await;
                leads.retain(|(at, _)| *at != facts);
                self.freeze(least(&leads)).await
            }
            Fault::FreezeObserver => self.freeze_observer().await,
            Fault::LoseDisk => {
                // All that was acknowledged has to be on the two others.
                self.cluster.settled().await;
                let at = self.any();
                self.cluster.kill(at);
                self.hold().await;
                self.cluster.lose_disk(at);
                self.cluster.restart(at).await;
                let healed = self.cluster.settled().await;
                format!("node {at}, replicated anew after {healed:.1?}")
            }
            Fault::Cut => self.cut(Cut::Both).await,
            Fault::CutIn => self.cut(Cut::In).await,
            Fault::CutOut => self.cut(Cut::Out).await,
            Fault::Loss => {
                let percent = 10 + self.random.below(50) as u8;
                self.cut(Cut::Loss(percent)).await
            }
            Fault::Reset => self.cut(Cut::Reset).await,
            Fault::Bridge => {
                let (one, other) = self.two();
                self.cluster.network().cut(one, &Cut::From(vec![other]));
                self.hold().await;
                self.cluster.network().heal(one);
                format!("nodes {one} and {other}")
            }
            Fault::Shatter => {
                let network = self.cluster.network();
                (0..NODES).for_each(|at| network.cut(at, &Cut::Both));
                self.hold().await;
                let network = self.cluster.network();
                (0..NODES).for_each(|at| network.heal(at));
                "each from each".into()
            }
            Fault::Churn => self.churn().await,
            Fault::Pair => self.pair().await,
            Fault::Majority => {
                let (one, other) = self.two();
                self.kill_and_restart(&[one, other]).await;
                format!("nodes {one} and {other}")
            }
            Fault::Everyone => {
                self.kill_and_restart(&[0, 1, 2]).await;
                "all nodes".into()
            }
        }
    }

    fn any(&mut self) -> usize {
        self.random.below(NODES as u64) as usize
    }

    /// Two that are not the same.
    fn two(&mut self) -> (usize, usize) {
        let one = self.any();
        (one, (one + 1 + self.random.below(NODES as u64 - 1) as usize) % NODES)
    }

    /// Longer than it takes to be missed.
    async fn hold(&mut self) {
        tokio::time::sleep(Duration::from_millis(2_000 + self.random.below(3_000))).await;
    }

    /// How many partitions each node leads, and who leads the cluster's own; by
    /// what a node says, once all are there.
    async fn leads(&mut self) -> (Vec<(usize, u64)>, usize) {
        self.cluster.settled().await;
        let status = self.cluster.status(0).await.expect("an answer");
        let mut nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        nodes.retain(|node| node["health"] == "present");
        let place = |node: &serde_json::Value| self.cluster.place(&status, node.as_str()?);
        let leads =
            nodes.iter().filter_map(|node| Some((place(&node["node"])?, node["leads"].as_u64()?)));
        let leads: Vec<_> = leads.filter(|(at, _)| *at < NODES).collect();
        let partitions = status["partitions"].as_array().cloned().unwrap_or_default();
        let facts = partitions.last().and_then(|own| place(&own["leader"]));
        (leads, facts.expect("somebody leads the cluster's own partition"))
    }

    async fn freeze(&mut self, at: usize) -> String {
        self.cluster.signal(at, "STOP");
        self.hold().await;
        self.cluster.signal(at, "CONT");
        format!("node {at}")
    }

    async fn freeze_observer(&mut self) -> String {
        let (observer, other) = self.two();
        self.cluster.signal(observer, "STOP");
        self.hold().await;
        self.cluster.kill(other);
        self.cluster.begin(other);
        tokio::time::sleep(Duration::from_millis(self.random.below(1_500))).await;
        self.cluster.signal(observer, "CONT");
        self.cluster.ready(other).await;
        format!("node {observer}, while node {other} was restarted")
    }

    async fn cut(&mut self, cut: Cut) -> String {
        let at = self.any();
        self.cluster.network().cut(at, &cut);
        self.hold().await;
        self.cluster.network().heal(at);
        format!("node {at}: {cut:?}")
    }

    async fn churn(&mut self) -> String {
        self.cluster.settled().await;
        if self.cluster.len() == FOURTH {
            self.cluster.grow().await;
        } else {
            self.cluster.restart(FOURTH).await;
        }
        let joined = self.cluster.settled().await;
        self.hold().await;
        self.cluster.stop(FOURTH);
        self.cluster.lose_disk(FOURTH);
        let left = self.cluster.settled().await;
        format!("a node came ({joined:.1?}) and went ({left:.1?})")
    }

    async fn pair(&mut self) -> String {
        let (one, other) = self.two();
        let cut = if self.random.below(2) == 0 { Cut::Loss(15) } else { Cut::Reset };
        let freezes = self.random.below(2) == 0;
        self.cluster.network().cut(other, &cut);
        if freezes {
            self.cluster.signal(one, "STOP")
        } else {
            self.cluster.kill(one)
        }
        self.hold().await;
        if freezes {
            self.cluster.signal(one, "CONT")
        } else {
            self.cluster.begin(one)
        }
        self.hold().await;
        self.cluster.network().heal(other);
        self.cluster.ready(one).await;
        let what = if freezes { "frozen" } else { "killed" };
        format!("node {one} {what}, node {other}: {cut:?}")
    }

    async fn kill_and_restart(&mut self, these: &[usize]) {
        for at in these {
            self.cluster.kill(*at);
        }
        self.hold().await;
        for at in these {
            self.cluster.begin(*at);
        }
        for at in these {
            self.cluster.ready(*at).await;
        }
    }
}

fn most(leads: &[(usize, u64)]) -> usize {
    leads.iter().max_by_key(|(_, leads)| *leads).expect("there are nodes").0
}

fn least(leads: &[(usize, u64)]) -> usize {
    leads.iter().min_by_key(|(_, leads)| *leads).expect("there are nodes").0
}
