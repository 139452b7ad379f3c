//! Who this node is, and what it grants others.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use stead_model::{ClusterId, NodeId};

use crate::{Lane, Lanes, Plain, Secure, wire::HEADER_BYTES};

/// The oldest protocol version that this program speaks.
pub const PROTOCOL_MIN: u16 = 1;
/// The newest protocol version that this program speaks.
///
/// | version | what came with it |
/// |---|---|
/// | 1 | all that there was at first |
/// | 2 | a receiver of a store tells how many chunks it has taken |
pub const PROTOCOL_MAX: u16 = 2;

/// The protocol versions that a node speaks. Two nodes agree on the highest
/// that both do. A program speaks its own version and that of the release
/// before it, so that a cluster can be upgraded node by node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// The lowest.
    pub min: u16,
    /// The highest.
    pub max: u16,
}

impl Protocol {
    /// What this program speaks.
    pub const CURRENT: Self = Self { min: PROTOCOL_MIN, max: PROTOCOL_MAX };

    /// The highest version that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let highest = self.max.min(other.max);
        (highest >= self.min && highest >= other.min).then_some(highest)
    }
}

impl Default for Protocol {
    fn default() -> Self {
        Self::CURRENT
    }
}

/// What one connection of a lane may hold. What this node accepts is told in the
/// handshake, and the other keeps to the lower of both nodes' limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLimits {
    /// The most bytes in one payload, of a call or of an answer.
    pub payload_bytes_max: u32,
    /// The most calls and messages that are sent and not answered yet.
    pub window_calls: u32,
    /// The most bytes of calls and messages that are sent and not answered yet.
    /// At least one largest payload.
    pub window_bytes: u64,
    /// The most calls that wait for room in that window. One more is told
    /// [`CallError::Busy`](crate::CallError::Busy).
    pub waiting_calls_max: usize,
    /// The most bytes of calls that wait for room in that window.
    pub waiting_bytes_max: u64,
    /// The most bytes of answers that wait to be sent, because the other side or
    /// the network doesn't take them. One more is dropped, and its caller told so.
    pub answer_bytes_max: u64,
}

impl LaneLimits {
    /// These, with room for payloads of so many bytes at least.
    #[must_use]
    pub fn with_payload(self, bytes: u32) -> Self {
        let payload_bytes_max = self.payload_bytes_max.max(bytes);
        // Every payload costs its header too.
        let room = u64::from(payload_bytes_max) + 64 * KIB;
        Self {
            payload_bytes_max,
            window_bytes: self.window_bytes.max(room),
            waiting_bytes_max: self.waiting_bytes_max.max(room),
            answer_bytes_max: self.answer_bytes_max.max(room),
            ..self
        }
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

impl LaneLimits {
    /// What a lane has unless it is told otherwise.
    #[must_use]
    pub fn of(lane: Lane) -> Self {
        // Every payload costs its header too, so windows have room for it.
        let limits = |payload_mib: u64, window_calls: u32, window_mib: u64| Self {
            payload_bytes_max: u32::try_from(payload_mib * MIB).unwrap_or(u32::MAX),
            window_calls,
            window_bytes: window_mib * MIB + 64 * KIB,
            waiting_calls_max: window_calls as usize,
            waiting_bytes_max: window_mib * MIB,
            answer_bytes_max: window_mib * MIB,
        };
        match lane {
            Lane::Control => limits(1, 1_024, 8),
            Lane::Log => limits(16, 1_024, 64),
            Lane::Bulk => limits(4, 16, 32),
            Lane::Requests => limits(8, 4_096, 64),
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// To reach a peer: the TCP connection, and what secures it.
    pub connect_max: Duration,
    /// For a handshake, from the first byte to the last. It is a limit on the
    /// whole, so that sending a byte now and then gains nothing.
    pub handshake_max: Duration,
    /// Between two pings on the control lane.
    pub control_ping: Duration,
    /// How long a peer may say nothing on the control lane before it is taken to
    /// be gone. At least two pings long; four is better.
    pub control_silence: Duration,
    /// Between two pings on the other lanes.
    pub ping: Duration,
    /// How long a peer may say nothing on the other lanes.
    pub silence: Duration,
    /// How long a connection may take no byte of what is to be sent.
    pub stall_max: Duration,
    /// How long a node that dialled this one may say nothing. More than the
    /// pings of others are apart.
    pub inbound_silence: Duration,
    /// The wait after the first failed attempt to reach a peer; it doubles with
    /// each further one. What is waited is between half of it and all of it.
    pub backoff_min: Duration,
    /// The longest such wait.
    pub backoff_max: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect_max: Duration::from_secs(1),
            handshake_max: Duration::from_secs(2),
            control_ping: Duration::from_millis(100),
            control_silence: Duration::from_millis(300),
            ping: Duration::from_secs(1),
            silence: Duration::from_secs(5),
            stall_max: Duration::from_secs(10),
            inbound_silence: Duration::from_secs(10),
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_secs(1),
        }
    }
}

/// Who this node is, and what it grants others.
#[derive(Clone)]
pub struct PeersConfig {
    /// This node.
    pub node: NodeId,
    /// Which start of this node it is; grows with each. A peer that comes back
    /// with a higher one has forgotten what it was asked before.
    pub epoch: u64,
    /// The cluster. Nodes of others are refused.
    pub cluster: ClusterId,
    /// The protocol versions to speak.
    pub protocol: Protocol,
    /// What each lane may hold.
    pub lanes: Lanes<LaneLimits>,
    /// How long things may take.
    pub times: Times,
    /// The most peers that can be set.
    pub peers_max: usize,
    /// The most connections of others that are open at once. Each node that
    /// dials this one takes as many as there are lanes.
    pub inbound_max: usize,
    /// The most handshakes under way at once with nodes that dial this one; with one
    /// more, one that has waited long is given up.
    pub handshakes_max: usize,
    /// The most events that wait to be taken. At least one more than `peers_max`
    /// is always kept, so that each peer's last one is never lost.
    pub events_max: usize,
    /// What stands between a TCP connection and what is said on it.
    pub secure: Arc<dyn Secure>,
    /// Where the jitter of retries comes from.
    pub seed: u64,
}

impl PeersConfig {
    /// A node with the usual limits, on bare TCP.
    #[must_use]
    pub fn new(node: NodeId, epoch: u64, cluster: ClusterId) -> Self {
        Self {
            node,
            epoch,
            cluster,
            protocol: Protocol::CURRENT,
            lanes: Lanes::each(LaneLimits::of),
            times: Times::default(),
            peers_max: 256,
            inbound_max: 1_024 + 64,
            handshakes_max: 64,
            events_max: 1_024,
            secure: Arc::new(Plain),
            seed: RandomState::new().build_hasher().finish(),
        }
    }

    /// What can't work is said at the start rather than found out later.
    pub(crate) fn check(&self) -> Result<(), String> {
        for lane in Lane::ALL {
            let limits = self.lanes.get(lane);
            let largest = u64::from(limits.payload_bytes_max) + HEADER_BYTES as u64;
            if limits.payload_bytes_max == 0 || limits.payload_bytes_max > PAYLOAD_BYTES_CAP {
                return Err(format!(
                    "a payload on the {lane} lane may have {} bytes; it must be 1 to \
                     {PAYLOAD_BYTES_CAP}",
                    limits.payload_bytes_max
                ));
            }
            if limits.window_calls == 0 || limits.waiting_calls_max == 0 {
                return Err(format!("the {lane} lane must let at least one call through and wait"));
            }
            if limits.window_bytes < largest || limits.waiting_bytes_max < largest - 24 {
                return Err(format!(
                    "the {lane} lane's windows must have room for one payload of {} bytes and its \
                     header of {HEADER_BYTES}",
                    limits.payload_bytes_max
                ));
            }
        }
        let times = &self.times;
        let pings = [
            ("control", times.control_ping, times.control_silence),
            ("other", times.ping, times.silence),
        ];
        for (name, ping, silence) in pings {
            if ping.is_zero() || silence < ping * 2 {
                return Err(format!(
                    "silence on the {name} lanes ({silence:?}) must be at least two pings long \
                     ({ping:?} each)"
                ));
            }
        }
        if times.inbound_silence < times.ping || times.inbound_silence < times.control_ping {
            return Err("silence of a node that dialled must be longer than a ping".to_owned());
        }
        if times.backoff_min.is_zero() || times.backoff_max < times.backoff_min {
            return Err("the shortest wait between attempts must be more than nothing and no \
                        longer than the longest"
                .to_owned());
        }
        if self.protocol.min > self.protocol.max {
            return Err("the lowest protocol version is above the highest".to_owned());
        }
        if self.peers_max == 0 || self.inbound_max == 0 || self.handshakes_max == 0 {
            return Err("peers, connections and handshakes must each be at least one".to_owned());
        }
        Ok(())
    }
}

/// No lane's payloads may be larger: they are held in memory whole.
pub const PAYLOAD_BYTES_CAP: u32 = 256 << 20;
