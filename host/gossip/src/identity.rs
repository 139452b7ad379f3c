//! Who a node is, as the others know it.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use stead_model::NodeId;

/// The longest name of a zone, in bytes.
pub const ZONE_BYTES_MAX: usize = 32;

/// The highest boot epoch. Above it a node could no longer be outbid by its own
/// next life.
pub const EPOCH_MAX: u64 = u64::MAX / 2;

/// One life of a node: what it is called, and where it is reached.
///
/// Of two identities at one gossip address the greater stands and the other is
/// history. They are ordered by epoch first, so the epoch has to grow with each
/// boot *at that address*, also when another node takes it over: the time of the
/// boot in milliseconds is a good one. If it turns out to be too low, because a
/// clock was set back, the others tell, and the node raises it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "wire::Identity", into = "wire::Identity")]
pub struct Identity {
    /// The boot epoch, at most [`EPOCH_MAX`].
    pub epoch: u64,
    /// The node.
    pub node: NodeId,
    /// Where it takes gossip, by UDP. It is what the others know it by.
    pub gossip: SocketAddr,
    /// Where it takes its peers' connections, by TCP.
    pub peer: SocketAddr,
    /// Where it takes callers' requests, by HTTP.
    pub ingress: SocketAddr,
    /// The zone it is in; empty where nobody said.
    pub zone: Zone,
    /// The versions of the peer protocol that it speaks.
    pub protocols: ProtocolRange,
}

/// Why something can't be a node's identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// An address that others can't send to.
    #[error(
        "{address} can't be a node's {what} address, as others can't reach a node there: name an \
         address of this machine and a port"
    )]
    Address {
        /// Which of the addresses.
        what: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The epoch is past [`EPOCH_MAX`].
    #[error("{0} can't be a boot epoch, which is at most {EPOCH_MAX}: see to the node's clock")]
    Epoch(u64),
    /// The name of the zone is too long, or has other characters than those allowed.
    #[error(
        "{0:?} can't be a zone's name: at most {ZONE_BYTES_MAX} letters, digits and any of `-_./:`"
    )]
    Zone(String),
    /// The range of versions is empty.
    #[error("the peer protocol's oldest version, {oldest}, is newer than the newest, {newest}")]
    Protocols {
        /// The oldest version.
        oldest: u16,
        /// The newest version.
        newest: u16,
    },
}

impl Identity {
    /// Checks what the types don't: addresses that others can reach, an epoch that
    /// can be outbid.
    ///
    /// # Errors
    /// [`IdentityError`], with the first thing that is wrong.
    pub fn check(&self) -> Result<(), IdentityError> {
        let addresses = [("gossip", self.gossip), ("peer", self.peer), ("ingress", self.ingress)];
        for (what, address) in addresses {
            let scoped = matches!(address, SocketAddr::V6(v6)
                if v6.scope_id() != 0 || v6.flowinfo() != 0);
            let reachable = address.port() != 0
                && !address.ip().is_unspecified()
                && !address.ip().is_multicast();
            if scoped || !reachable {
                return Err(IdentityError::Address { what, address });
            }
        }
        if self.epoch > EPOCH_MAX {
            return Err(IdentityError::Epoch(self.epoch));
        }
        Ok(())
    }

    /// The same node in a life after this one and after `epoch`; none when the epochs
    /// have run out.
    #[must_use]
    pub fn after(&self, epoch: u64) -> Option<Self> {
        let next = self.epoch.max(epoch).checked_add(1)?;
        (next <= EPOCH_MAX).then(|| Self { epoch: next, ..self.clone() })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} at {}", self.node.short(), self.gossip)
    }
}

impl foca::Identity for Identity {
    type Addr = SocketAddr;

    /// Called when the others hold this life to be over: the next one joins at once.
    fn renew(&self) -> Option<Self> {
        self.after(self.epoch)
    }

    fn addr(&self) -> SocketAddr {
        self.gossip
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self > adversary
    }
}

/// The name of a zone: what fails together.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(String);

impl Zone {
    /// A zone of that name; the empty name for none.
    ///
    /// # Errors
    /// [`IdentityError::Zone`] if it is too long or has other characters.
    pub fn new(name: &str) -> Result<Self, IdentityError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_./:".contains(&b);
        if name.len() > ZONE_BYTES_MAX || !name.bytes().all(allowed) {
            // What is shown of it is bounded, as it comes from outside.
            return Err(IdentityError::Zone(name.chars().take(2 * ZONE_BYTES_MAX).collect()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The versions of the peer protocol that a node speaks, from `oldest` to `newest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolRange {
    oldest: u16,
    newest: u16,
}

impl ProtocolRange {
    /// From `oldest` to `newest`, both among them.
    ///
    /// # Errors
    /// [`IdentityError::Protocols`] if there is none between them.
    pub fn new(oldest: u16, newest: u16) -> Result<Self, IdentityError> {
        if oldest > newest {
            return Err(IdentityError::Protocols { oldest, newest });
        }
        Ok(Self { oldest, newest })
    }

    /// The oldest version.
    #[must_use]
    pub const fn oldest(self) -> u16 {
        self.oldest
    }

    /// The newest version.
    #[must_use]
    pub const fn newest(self) -> u16 {
        self.newest
    }

    /// The newest version that both speak; none if there is no such.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// What goes over the wire. A change here is a new variant, which older nodes
/// refuse by its number.
mod wire {
    use std::net::SocketAddr;

    use serde::{Deserialize, Serialize};
    use stead_model::NodeId;

    use super::{IdentityError, ProtocolRange, Zone};

    #[derive(Serialize, Deserialize)]
    pub(super) enum Identity {
        V1(IdentityV1),
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct IdentityV1 {
        node: [u8; 16],
        epoch: u64,
        gossip: SocketAddr,
        peer: SocketAddr,
        ingress: SocketAddr,
        zone: String,
        protocol_oldest: u16,
        protocol_newest: u16,
    }

    impl From<super::Identity> for Identity {
        fn from(identity: super::Identity) -> Self {
            Self::V1(IdentityV1 {
                node: identity.node.get().to_be_bytes(),
                epoch: identity.epoch,
                gossip: identity.gossip,
                peer: identity.peer,
                ingress: identity.ingress,
                zone: identity.zone.0,
                protocol_oldest: identity.protocols.oldest,
                protocol_newest: identity.protocols.newest,
            })
        }
    }

    impl TryFrom<Identity> for super::Identity {
        type Error = IdentityError;

        fn try_from(wire: Identity) -> Result<Self, IdentityError> {
            let Identity::V1(wire) = wire;
            let identity = Self {
                epoch: wire.epoch,
                node: NodeId(u128::from_be_bytes(wire.node)),
                gossip: wire.gossip,
                peer: wire.peer,
                ingress: wire.ingress,
                zone: Zone::new(&wire.zone)?,
                protocols: ProtocolRange::new(wire.protocol_oldest, wire.protocol_newest)?,
            };
            identity.check()?;
            Ok(identity)
        }
    }
}

#[cfg(test)]
mod tests {
    use foca::Identity as _;

    use super::*;

    fn identity(epoch: u64, node: u128) -> Identity {
        Identity {
            epoch,
            node: NodeId(node),
            gossip: "10.0.0.1:8082".parse().expect("an address"),
            peer: "10.0.0.1:8082".parse().expect("an address"),
            ingress: "[2001:db8::1]:8080".parse().expect("an address"),
            zone: Zone::new("eu-west-1a").expect("a zone"),
            protocols: ProtocolRange::new(1, 3).expect("a range"),
        }
    }

    #[test]
    fn the_newer_life_wins_whatever_the_node() {
        let wins = |a: &Identity, b: &Identity| a.win_addr_conflict(b) && !b.win_addr_conflict(a);
        assert!(wins(&identity(2, 1), &identity(1, 1)));
        assert!(wins(&identity(2, 1), &identity(1, 9)), "another node took the address");
        assert!(wins(&identity(2, 9), &identity(2, 1)), "one of two has to win");
        let mut moved = identity(2, 1);
        moved.peer.set_port(1);
        assert_ne!(
            moved.win_addr_conflict(&identity(2, 1)),
            identity(2, 1).win_addr_conflict(&moved)
        );
    }

    #[test]
    fn a_renewed_life_wins_against_the_one_before() {
        let before = identity(7, 1);
        let renewed = before.renew().expect("a next life");
        assert_eq!(renewed.epoch, 8);
        assert!(renewed.win_addr_conflict(&before));
        assert_eq!(identity(EPOCH_MAX, 1).renew(), None, "it must not start over at 0");
    }

    #[test]
    fn it_reads_what_it_writes() {
        let identity = identity(u64::from(u32::MAX), u128::MAX);
        let bytes = postcard::to_allocvec(&identity).expect("bytes");
        assert_eq!(postcard::from_bytes::<Identity>(&bytes).expect("an identity"), identity);
    }

    #[test]
    fn what_others_could_not_reach_is_refused_here_and_from_the_wire() {
        for wrong in ["0.0.0.0:1", "[::]:1", "10.0.0.1:0", "224.0.0.1:9", "[fe80::1%3]:9"] {
            let mut identity = identity(1, 1);
            identity.peer = wrong.parse().expect("an address");
            assert!(
                matches!(identity.check(), Err(IdentityError::Address { what: "peer", .. })),
                "{wrong}"
            );
            if !wrong.contains('%') {
                let bytes = postcard::to_allocvec(&identity).expect("bytes");
                assert!(postcard::from_bytes::<Identity>(&bytes).is_err(), "{wrong}");
            }
        }
        let epoch = identity(EPOCH_MAX + 1, 1);
        assert_eq!(epoch.check(), Err(IdentityError::Epoch(EPOCH_MAX + 1)));
    }

    #[test]
    fn zones_are_short_and_plain() {
        assert!(Zone::new("").is_ok());
        assert!(Zone::new(&"a".repeat(ZONE_BYTES_MAX)).is_ok());
        for wrong in [&"a".repeat(ZONE_BYTES_MAX + 1), "rack 1", "zürich", "a\n"] {
            assert!(Zone::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_newest_version_in_common() {
        let range = |a, b| ProtocolRange::new(a, b).expect("a range");
        assert_eq!(range(1, 3).common(range(2, 5)), Some(3));
        assert_eq!(range(1, 1).common(range(2, 5)), None);
        assert!(ProtocolRange::new(2, 1).is_err());
    }
}
