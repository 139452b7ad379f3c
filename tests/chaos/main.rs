//! Chaos on real processes and a real network: nodes are killed, frozen, cut off,
//! and lose their disks, while callers go on; nothing acknowledged may be lost or
//! done twice, no answer may be stale, and afterwards every node must answer.
//!
//! In CI a fixed list of faults is gone through, in about a minute and a half.
//! `STEAD_CHAOS_MINUTES=60` is the soak: every kind of fault in an order by chance,
//! again and again. `STEAD_SEED` repeats its choices, `STEAD_CHAOS_FAULTS=Cut,Kill`
//! names the kinds, `STEAD_CHAOS_DIRECTORY` says where data and logs are kept.

mod callers;
mod faults;
mod kinds;
mod replicas;
mod run;
mod seen;

use std::time::Duration;

use stead_tests::{network::Network, random::Random};

use self::{
    kinds::{Fault, Plan},
    run::Run,
};

#[tokio::test(flavor = "multi_thread")]
async fn chaos_loses_nothing_doubles_nothing_and_shows_nothing_stale() {
    let Some(network) = Network::new() else { return };
    let minutes: Option<u64> = std::env::var("STEAD_CHAOS_MINUTES")
        .ok()
        .map(|text| text.parse().expect("STEAD_CHAOS_MINUTES is a whole number of minutes"));
    let mut random = Random::from_environment("chaos");
    let plan = match minutes {
        Some(minutes) => Plan::by_chance(Duration::from_secs(minutes * 60), Fault::asked_for()),
        None => Plan::fixed(Fault::asked_for()),
    };
    let wanted = plan.kinds();
    let mut run = Run::begin(network, random.split()).await;
    run.carry_out(plan, &mut random).await;
    let injected = run.end().await;
    for fault in wanted {
        assert!(injected.get(&fault).is_some_and(|times| *times > 0), "{fault:?}: none injected");
    }
}
