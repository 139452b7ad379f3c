//! A data directory of which somebody made a copy.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use stead_tests::cluster::Cluster;

const PATIENCE: Duration = Duration::from_secs(60);

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} is copied", from.display());
}

async fn ready(cluster: &Cluster, at: usize) -> (u16, String) {
    let node = cluster.node(at);
    let answer = node.client.get(node.admin, "/readyz").await.expect("an answer");
    (answer.status.as_u16(), answer.text())
}

/// Waits for what readiness says of a node.
async fn until_ready_says(cluster: &Cluster, at: usize, status: u16, word: &str) {
    let began = Instant::now();
    loop {
        let (now, text) = ready(cluster, at).await;
        if now == status && text.contains(word) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{now}: {text}\n{}", cluster.node(at).log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_outlives_a_copy_of_its_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = [("STEAD_NODE_PARTITIONS", "4")];
    let mut cluster = Cluster::start(directory.path(), 3, &settings).await;
    cluster.stop(2);
    let copied = directory.path().join("copy");
    copy(&cluster.data(2), &copied);
    cluster.restart(2).await;
    cluster.settled().await;

    let mut other = cluster.stranger(&copied);
    until_ready_says(&cluster, 2, 503, "identity").await;
    other.kill();
    until_ready_says(&cluster, 2, 200, "").await;
    // It is one of them again, for all of them.
    cluster.settled().await;
}
