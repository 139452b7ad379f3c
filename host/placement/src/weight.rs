//! Rendezvous weights.

use stead_model::{NodeId, PartitionId};

/// How much a partition is drawn to a node: any two nodes agree on it, and it has
/// nothing to do with the other nodes.
pub(crate) fn weight(partition: PartitionId, node: NodeId) -> u64 {
    let high = u64::try_from(node.get() >> 64).expect("the upper half of 128 bits");
    let low = u64::try_from(node.get() & u128::from(u64::MAX)).expect("the lower half of 128 bits");
    mix(mix(mix(u64::from(partition.get())) ^ high) ^ low)
}

/// A bijection in which each bit of the input turns about half of the output's.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_drawn_to_all_nodes_alike() {
        let nodes: Vec<_> = (1..=8).map(NodeId).collect();
        let mut won = [0_u32; 8];
        for partition in (0..4096).map(PartitionId) {
            let best = (0..8).max_by_key(|&i| weight(partition, nodes[i])).expect("a node");
            won[best] += 1;
        }
        assert!(won.iter().all(|&won| (430..600).contains(&won)), "{won:?}");
    }

    /// Nodes of different versions may lead one after the other; a change of the
    /// weights would have them move replicas to and fro.
    #[test]
    fn weights_never_change() {
        let found = [(0, 1), (1, 1), (0, u128::MAX), (4095, 1 << 64)]
            .map(|(partition, node)| weight(PartitionId(partition), NodeId(node)));
        assert_eq!(found, GOLDEN);
    }

    const GOLDEN: [u64; 4] = [
        3_400_964_856_525_257_824,
        7_806_873_273_932_414_515,
        7_379_584_095_939_788_519,
        8_045_575_649_845_839_178,
    ];
}
