//! How much the lanes between nodes must take, for what one node may hold to reach
//! another: the largest entry, row and answer that the node's settings allow.

use stead_peers::{Lane, LaneLimits, Lanes, PAYLOAD_BYTES_CAP};

use crate::{NodeOptions, history::PAGE_BYTES_MAX};

/// What goes round the largest thing: names, addresses, lengths.
const AROUND_BYTES: u64 = 1 << 20;

/// The settings that it depends on, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    batch: u64,
    outcome: u64,
    snapshot: u64,
    body: u64,
    reply: u64,
}

impl Limits {
    pub fn of(options: &NodeOptions) -> Self {
        let (guests, engine) = (&options.sandbox.limits, &options.engine);
        Self {
            batch: engine.batch_bytes_max as u64,
            outcome: guests.outcome_bytes_max as u64,
            snapshot: engine.snapshot_bytes_max as u64,
            body: engine.requests.body_bytes_max as u64,
            reply: guests.reply_bytes_max as u64,
        }
    }
}

/// The lanes' limits.
///
/// # Errors
/// If something that the settings allow could never reach another node.
pub fn for_limits(limits: &Limits) -> Result<Lanes<LaneLimits>, String> {
    let Limits { batch, outcome, snapshot, body, reply } = *limits;
    // A batch that is nearly full takes one more outcome, and the snapshot after it.
    let entry = batch.saturating_add(outcome).saturating_add(snapshot);
    let page = (PAGE_BYTES_MAX as u64).saturating_add(outcome);
    let needed = |lane| {
        let largest = match lane {
            Lane::Control => 0,
            // As many entries as are read at once, and one more; small events take
            // some bytes more each than are counted.
            Lane::Log => {
                stead_consensus::READ_BYTES.saturating_add(entry.saturating_add(entry / 4))
            }
            Lane::Bulk => stead_consensus::CHUNK_BYTES.saturating_add(outcome.max(snapshot)),
            Lane::Requests => page.max(body).max(reply).max(snapshot),
        };
        largest.saturating_add(AROUND_BYTES)
    };
    if let Some(bytes) =
        Lane::ALL.map(needed).into_iter().find(|bytes| *bytes > u64::from(PAYLOAD_BYTES_CAP))
    {
        return Err(format!(
            "the limits of outcomes ({outcome} bytes), snapshots ({snapshot}), bodies ({body}) \
             and replies ({reply}) allow for {bytes} bytes at once between nodes, over \
             {PAYLOAD_BYTES_CAP}: lower guests.outcome-size-max, guests.snapshot-size-max, \
             guests.reply-size-max or requests.body-size-max"
        ));
    }
    // Each was found to be under the cap, which is a u32.
    let payload = |lane| u32::try_from(needed(lane)).unwrap_or(PAYLOAD_BYTES_CAP);
    Ok(Lanes::each(|lane| LaneLimits::of(lane).with_payload(payload(lane))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn limits() -> Limits {
        Limits { batch: 4 * MIB, outcome: 4 * MIB, snapshot: 4 * MIB, body: MIB, reply: MIB }
    }

    #[test]
    fn whatever_the_settings_allow_has_room() {
        for factor in [1, 3, 8] {
            let limits = Limits {
                outcome: factor * 4 * MIB,
                snapshot: factor * 5 * MIB,
                body: factor * 6 * MIB,
                ..limits()
            };
            let lanes = for_limits(&limits).expect("it is within the cap");
            let payload = |lane| u64::from(lanes.get(lane).payload_bytes_max);
            let entry = limits.batch + limits.outcome + limits.snapshot;
            assert!(payload(Lane::Log) > stead_consensus::READ_BYTES + entry);
            assert!(payload(Lane::Bulk) > stead_consensus::CHUNK_BYTES + limits.snapshot);
            assert!(payload(Lane::Requests) > limits.body.max(limits.snapshot));
            for lane in Lane::ALL {
                let limits = lanes.get(lane);
                let payload = u64::from(limits.payload_bytes_max);
                assert!(limits.window_bytes > payload);
                assert!(limits.waiting_bytes_max >= payload);
                assert!(limits.answer_bytes_max >= payload);
                assert!(limits.payload_bytes_max >= LaneLimits::of(lane).payload_bytes_max);
            }
        }
    }

    #[test]
    fn what_could_never_reach_another_node_is_refused() {
        let huge = Limits { snapshot: 1 << 30, ..limits() };
        let why = for_limits(&huge).expect_err("it is over the cap");
        assert!(why.contains("guests.snapshot-size-max"), "{why}");
        assert!(for_limits(&Limits { body: u64::MAX, ..limits() }).is_err());
    }
}
