//! What a small entity that is in memory costs there.

use std::path::Path;

use crate::{
    Extent,
    figures::Figure,
    load::{ledger, number, record},
};

const GIB: f64 = (1_u64 << 30) as f64;

/// Every entity gets one command and stays. The stores' caches are kept small,
/// as they are no part of it.
pub async fn measure(directory: &Path, extent: Extent) -> Vec<Figure> {
    let settings = [
        ("STEAD_ENTITIES_LIVE_MAX", "4000000"),
        ("STEAD_ENTITIES_IDLE_TIMEOUT", "1h"),
        ("STEAD_MEMORY_GUESTS_MAX", "8GiB"),
        ("STEAD_MEMORY_STORE_CACHES", "16MiB"),
    ];
    let node = ledger(&directory.join("data"), &settings).await;
    let before = resident_bytes(node.id());
    let entities = extent.many.to_string();
    let arguments = ["--entities", &entities, "--clients", "64", "--warmup", "0s"];
    let rest = ["--duration", "1s", "--prepare", r#"record={"serial": "1"}"#];
    record(&node, &[&arguments[..], &rest[..]].concat()).await;
    // What was read and written by the way settles.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let status = node.admin_status().await;
    let live = number(&status, "/live-entities");
    assert!(live >= extent.many as f64, "{live} entities are in memory\n{}", node.log_tail());
    let all = resident_bytes(node.id()) - before;
    let guests = number(&status, "/guest-memory-bytes");
    let whole = all / live * 1e6;
    vec![
        Figure::new(
            format!("{live:.0} small entities in memory"),
            format!(
                "{:.0} bytes each: {:.2} GiB for 1,000,000 ({:.0} bytes each in guests)",
                all / live,
                whole / GIB,
                guests / live
            ),
        )
        .beside(format!("resident before: {:.0} MiB", before / f64::from(1 << 20)))
        .budget("1,000,000 in ≤ 1 GiB", whole <= GIB),
    ]
}

/// What a process has in memory.
pub fn resident_bytes(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is told");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024.0
}
