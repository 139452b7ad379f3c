//! Bytes from the network: what they must be, and that nothing else does harm.

#![expect(clippy::indexing_slicing, reason = "a test that panics has failed")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use stead_gossip::{
    Config, Core, Effect, HEADER_BYTES, HELLO_BYTES, Identity, Input, Outdated, Packet,
    PacketError, ProtocolRange, WORD_BYTES_MAX, Zone,
};
use stead_model::{ClusterId, NodeId};

const CLUSTER: ClusterId = ClusterId(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

fn address(node: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 8000 + node))
}

fn identity(node: u16) -> Identity {
    Identity {
        epoch: 1_700_000_000_000,
        node: NodeId(u128::from(node) << 64 | 7),
        gossip: address(node),
        peer: address(node),
        ingress: "[2001:db8::1]:8080".parse().expect("an address"),
        zone: Zone::new("zone-a").expect("a zone"),
        protocols: ProtocolRange::new(1, 2).expect("a range"),
    }
}

fn core(node: u16) -> Core {
    let cluster = Some(CLUSTER);
    Core::new(Config::default(), identity(node), cluster, node.into(), Duration::ZERO)
        .expect("a core")
}

/// Runs three cores for a while, the last of which dies, and returns the first, all
/// that was sent, and the time.
fn conversation() -> (Core, Vec<Vec<u8>>, Duration) {
    let mut cores = vec![core(0), core(1), core(2)];
    let mut sent = Vec::new();
    let mut now = Duration::ZERO;
    let mut mail: Vec<(SocketAddr, SocketAddr, Vec<u8>)> = Vec::new();
    for step in 0..1_500 {
        now += Duration::from_millis(2);
        if step == 1_000 {
            cores.truncate(2);
        }
        let arrived = std::mem::take(&mut mail);
        for (at, core) in cores.iter_mut().enumerate() {
            let own = address(at as u16);
            let mut effects = core.handle(Input::Tick, now);
            if step == 0 {
                effects.extend(core.handle(Input::Join { addresses: &[address(0)] }, now));
            }
            for (from, _, bytes) in arrived.iter().filter(|(_, to, _)| *to == own) {
                effects.extend(core.handle(Input::Datagram { from: *from, bytes }, now));
            }
            for effect in effects {
                if let Effect::Send { to, bytes } = effect {
                    sent.push(bytes.clone());
                    mail.push((own, to, bytes));
                }
            }
        }
    }
    assert_eq!(cores[0].snapshot().present().count(), 1);
    assert_eq!(cores[0].snapshot().members.len(), 2);
    (cores.swap_remove(0), sent, now)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Flips bits, cuts, repeats and overwrites.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(5) {
                0 | 1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at),
                3 => bytes[at] = self.next() as u8,
                _ => bytes.extend_from_within(at..),
            }
        }
    }
}

#[test]
fn packets_read_what_they_write() {
    let body = b"some of foca's".as_slice();
    let outdated = Outdated { node: NodeId(9), epoch: 4, known: u64::MAX };
    for packet in [
        Packet::Swim { cluster: CLUSTER, body },
        Packet::Hello { nonce: 77 },
        Packet::Welcome { cluster: None, nonce: u64::MAX, identity: identity(3) },
        Packet::Welcome { cluster: Some(CLUSTER), nonce: 0, identity: identity(3) },
        Packet::Outdated { cluster: CLUSTER, outdated },
        Packet::Word { body },
        Packet::Word { body: &[7; WORD_BYTES_MAX] },
    ] {
        assert_eq!(Packet::decode(&packet.encode()), Ok(packet.clone()));
    }
    for body in [&[][..], &[7; WORD_BYTES_MAX + 1]] {
        assert_eq!(Packet::decode(&Packet::Word { body }.encode()), Err(PacketError::Garbage));
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let packet = Packet::Welcome { cluster: Some(CLUSTER), nonce: 1, identity: identity(3) };
    let bytes = packet.encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = Packet::decode(&flipped);
        let version = bit / 8 == 4;
        assert!(matches!(read, Err(PacketError::Version(_))) == version, "bit {bit}: {read:?}");
        assert!(read.is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert_eq!(Packet::decode(&bytes[..length]), Err(PacketError::Garbage));
    }
}

#[test]
fn a_body_has_no_more_than_belongs_to_it() {
    for packet in [
        Packet::Hello { nonce: 1 },
        Packet::Welcome { cluster: None, nonce: 1, identity: identity(1) },
        Packet::Outdated {
            cluster: CLUSTER,
            outdated: Outdated { node: NodeId(1), epoch: 1, known: 1 },
        },
    ] {
        let mut bytes = packet.encode();
        bytes.push(0);
        let resealed = reseal(bytes);
        assert_eq!(Packet::decode(&resealed), Err(PacketError::Garbage), "{packet:?}");
    }
    assert_eq!(Packet::Hello { nonce: 1 }.encode().len(), HELLO_BYTES);
}

/// Puts the checksum right, as someone who means harm would.
fn reseal(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= HEADER_BYTES {
        let sum = crc32c::crc32c(&bytes[4..HEADER_BYTES - 4]);
        let sum = crc32c::crc32c_append(sum, &bytes[HEADER_BYTES..]);
        bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

#[test]
fn random_bytes_do_no_harm() {
    let (mut core, _, now) = conversation();
    let before = core.snapshot();
    let mut random = Random(1);
    for _ in 0..50_000 {
        let length = random.below(1_500);
        let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        let effects = core.handle(Input::Datagram { from: address(9), bytes: &bytes }, now);
        assert_eq!(effects, []);
    }
    assert_eq!(core.counters().dropped.garbage, 50_000);
    assert_eq!(core.snapshot(), before);
}

#[test]
fn damaged_packets_do_no_harm() {
    let (mut core, sent, now) = conversation();
    let before = core.snapshot();
    let mut random = Random(2);
    for bytes in sent.iter().cycle().take(50_000) {
        let mut damaged = bytes.clone();
        random.damage(&mut damaged);
        if damaged != *bytes {
            let input = Input::Datagram { from: address(9), bytes: &damaged };
            let told = core.handle(input, now).into_iter().filter(|effect| {
                // A header's version may be what was hit, of which is told once.
                matches!(effect, Effect::Send { .. })
            });
            assert_eq!(told.count(), 0, "the checksum finds it");
        }
    }
    assert_eq!(core.snapshot().members, before.members);
}

/// Nothing is believed of what such packets say, but nothing panics and all stays
/// within its bounds. Foca's own assertions are on in this build.
#[test]
fn packets_made_to_harm_do_not_panic_or_fill_the_memory() {
    for seed in 0..4 {
        let (mut core, sent, mut now) = conversation();
        let mut random = Random(seed);
        let config = Config::default();
        for bytes in sent.iter().cycle().take(40_000) {
            let mut damaged = bytes.clone();
            random.damage(&mut damaged);
            now += Duration::from_micros(random.next() % 20_000);
            let bytes = reseal(damaged);
            for effect in core.handle(Input::Datagram { from: address(9), bytes: &bytes }, now) {
                if let Effect::Send { bytes, .. } = effect {
                    assert!(bytes.len() <= config.packet_bytes_max);
                }
            }
        }
        assert!(core.snapshot().members.len() <= config.addresses_max);
        assert!(core.timers() < 20 * config.addresses_max, "{}", core.timers());
        assert!(core.counters().dropped.garbage > 0);
    }
}

/// What goes over the wire is pinned, foca's part of it too: nodes of two releases must
/// understand each other. If a change of it is meant, it is another version of the
/// format; `STEAD_GOLDEN=write` then writes the files anew.
#[test]
fn the_format_is_as_it_was() {
    let (_, sent, _) = conversation();
    // By length and then by content, the first of each of foca's messages.
    let mut swim: Vec<(u8, Vec<u8>)> = Vec::new();
    for bytes in sent {
        let Ok(Packet::Swim { body, .. }) = Packet::decode(&bytes) else { continue };
        // Two identities of equal length and the incarnation are before the message.
        let one = postcard::to_allocvec(&identity(0)).expect("bytes").len();
        let message = body[2 * one + 1];
        if !swim.iter().any(|(known, _)| *known == message) {
            swim.push((message, bytes));
        }
    }
    let outdated = Outdated { node: NodeId(9), epoch: 4, known: 300 };
    let mut all = vec![
        ("hello".to_owned(), Packet::Hello { nonce: 77 }.encode()),
        (
            "welcome".to_owned(),
            Packet::Welcome { cluster: Some(CLUSTER), nonce: 77, identity: identity(3) }.encode(),
        ),
        ("word".to_owned(), Packet::Word { body: b"found" }.encode()),
        ("outdated".to_owned(), Packet::Outdated { cluster: CLUSTER, outdated }.encode()),
    ];
    all.extend(swim.into_iter().map(|(message, bytes)| (format!("swim-{message}"), bytes)));
    all.sort();
    let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
    let messages = ["swim-0", "swim-1", "swim-2", "swim-6", "swim-7", "swim-8"];
    assert!(messages.iter().all(|message| names.contains(message)), "{names:?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    for (name, bytes) in all {
        let file = folder.join(format!("{name}.bin"));
        if std::env::var_os("STEAD_GOLDEN").is_some() {
            std::fs::write(&file, &bytes).expect("written");
        }
        let golden = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(Packet::decode(&golden).is_ok(), "{name}: still understood");
        assert_eq!(bytes, golden, "{name}: still written so");
    }
}
