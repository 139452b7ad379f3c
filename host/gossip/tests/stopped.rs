//! Processes that are really stopped and go on: SIGSTOP and SIGCONT.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stead_gossip::{
    Config, Gossip, Heard, Identity, Notice, Notices, Options, ProtocolRange, Zone,
};
use stead_model::{ClusterId, NodeId};

const CLUSTER: ClusterId = ClusterId(0xC1);
const PATIENCE: Duration = Duration::from_secs(30);

fn start(node: u128) -> Gossip {
    let socket = Gossip::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    let gossip = socket.local_addr().expect("an address");
    let identity = Identity {
        epoch: 1,
        node: NodeId(node),
        gossip,
        peer: gossip,
        ingress: gossip,
        zone: Zone::default(),
        protocols: ProtocolRange::new(1, 1).expect("a range"),
    };
    // Patient, so that a busy machine makes nobody else seem gone.
    let config = Config { suspicion: Duration::from_secs(2), ..Config::default() };
    let options = Options { config, identity, cluster: Some(CLUSTER), socket, seed: node as u64 };
    Gossip::start(options).expect("started")
}

/// Not a test: the process that [`a_stopped_process_is_missed_and_harms_nobody_when_it_goes_on`]
/// stops. It is a node until its input ends.
#[test]
#[ignore = "started by the other test"]
fn node_of_its_own() {
    let Ok(join) = std::env::var("STEAD_GOSSIP_JOIN") else { return };
    let gossip = start(3);
    gossip.join(vec![join.parse().expect("an address")]).expect("taken");
    println!("started");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

struct Process(Child);

impl Process {
    fn start(join: SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "node_of_its_own", "--nocapture"])
            .env("STEAD_GOSSIP_JOIN", join.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let started = lines.map_while(Result::ok).any(|line| line.ends_with("started"));
        assert!(started, "the process said that it started");
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).expect("signalled");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a notice, and fails if anyone but node 3 is held to be gone.
async fn wait_for(notices: &mut Notices, wanted: impl Fn(&Notice) -> bool) {
    let found = async {
        loop {
            let Some(Heard::Notice(told)) = notices.next().await else { panic!("it goes on") };
            if let Notice::Down(identity) = &told.notice {
                assert_eq!(identity.node, NodeId(3), "nobody else is gone");
            }
            if wanted(&told.notice) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("told in time");
}

#[tokio::test]
async fn a_stopped_process_is_missed_and_harms_nobody_when_it_goes_on() {
    let (one, two) = (start(1), start(2));
    let at = one.members().own.gossip;
    two.join(vec![at]).expect("taken");
    let process = Process::start(at);
    let begun = Instant::now();
    while one.members().present().count() < 2 || two.members().present().count() < 2 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", one.members());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (_, mut notices) = one.subscribe();
    for _ in 0..2 {
        process.signal(Signal::STOP);
        wait_for(&mut notices, |notice| matches!(notice, Notice::Down(_))).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        process.signal(Signal::CONT);
        wait_for(&mut notices, |notice| matches!(notice, Notice::Returned(_))).await;
        // News of it would have come by now.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    assert_eq!(one.members().present().count(), 2);
    assert_eq!(two.members().own.epoch, 1, "node 2 never had to begin another life");
    assert_eq!(one.members().own.epoch, 1);
}
