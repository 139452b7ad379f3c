//! Every message against its golden file: these bytes mean that, and that makes
//! these bytes. See `tests/golden/README.md`.

use std::{fs, path::Path};

use bytes::Bytes;
use stead_model::{ClusterId, NodeId};

use super::{
    HEADER_BYTES,
    frame::{Failure, Frame, Header},
    handshake::{Answer, HEAD_BYTES, Head, Hello, Purpose, Welcome},
};
use crate::{Lane, Protocol, Refusal, RefusalReason};

const CLUSTER: ClusterId = ClusterId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
const NODE: NodeId = NodeId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
const OTHER: NodeId = NodeId(7);

fn golden(name: &str, encoded: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name);
    if std::env::var_os("STEAD_GOLDEN").is_some_and(|value| value == "make") && !path.exists() {
        fs::write(&path, encoded).expect("a new golden file");
    }
    let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(encoded, stored, "{name}: the format has changed; see tests/golden/README.md");
    stored
}

#[test]
fn frames() {
    let payload = Bytes::from_static(b"payload");
    let frames = [
        ("call", Frame::Call { id: 0x0102_0304_0506_0708, payload: payload.clone() }),
        ("send", Frame::Send { payload: payload.clone() }),
        ("answer", Frame::Answer { id: 300, payload }),
        ("failed-dropped", Frame::Failed { id: 1, failure: Failure::Dropped }),
        ("failed-too-large", Frame::Failed { id: 1, failure: Failure::TooLarge }),
        ("failed-overflow", Frame::Failed { id: 1, failure: Failure::Overflow }),
        ("failed-stopping", Frame::Failed { id: 1, failure: Failure::Stopping }),
        ("room", Frame::Room { messages: 5, bytes: 70_000 }),
        ("ping", Frame::Ping { nonce: 9 }),
        ("pong", Frame::Pong { nonce: 9 }),
        ("goodbye", Frame::Goodbye),
    ];
    for (name, frame) in frames {
        let (header, payload) = frame.clone().encode();
        let stored = golden(name, &[&header[..], &payload].concat());
        let (header, payload) = stored.split_first_chunk::<HEADER_BYTES>().expect("a header");
        let header = Header::decode(header, 100).expect("a sound header");
        assert_eq!(header.payload_bytes(), payload.len());
        assert_eq!(header.with(Bytes::copy_from_slice(payload)), Ok(frame), "{name}");
    }
}

fn hello(expects: Option<NodeId>, purpose: Purpose) -> Hello {
    Hello {
        protocol: Protocol { min: 1, max: 2 },
        cluster: CLUSTER,
        node: NODE,
        epoch: 1_700_000_000_000,
        expects,
        purpose,
        dial: 3,
        payload_bytes_max: 1 << 20,
    }
}

#[test]
fn hellos() {
    for (name, hello) in [
        ("hello", hello(Some(OTHER), Purpose::Lane(Lane::Log))),
        ("hello-enquiry", hello(None, Purpose::Enquiry)),
    ] {
        let stored = golden(name, &hello.encode());
        let (head, body) = stored.split_first_chunk::<HEAD_BYTES>().expect("a head");
        let head = Head::of_hello(head).expect("a sound head");
        assert_eq!(head.body_bytes(), body.len());
        assert_eq!(Hello::decode(&head, body), Ok(hello), "{name}");
    }
}

#[test]
fn answers() {
    let welcome = Answer::Welcome(Welcome {
        version: 1,
        cluster: CLUSTER,
        node: OTHER,
        epoch: 5,
        payload_bytes_max: 16 << 20,
        window_calls: 1_024,
        window_bytes: 64 << 20,
    });
    let refused = Answer::Refused(Refusal {
        reason: RefusalReason::OtherCluster,
        cluster: CLUSTER,
        node: OTHER,
        sentence: "another cluster's".to_owned(),
    });
    for (name, answer) in [("welcome", welcome), ("refused", refused)] {
        let stored = golden(name, &answer.encode());
        let (head, body) = stored.split_first_chunk::<HEAD_BYTES>().expect("a head");
        let head = Head::of_answer(head).expect("a sound head");
        assert_eq!(head.body_bytes(), body.len());
        assert_eq!(Answer::decode(&head, body), Ok(answer), "{name}");
    }
}

/// A later version appends fields; this one must go on reading what it knows.
#[test]
fn what_a_later_version_appends_is_ignored() {
    let hello = hello(None, Purpose::Enquiry);
    let mut bytes = hello.encode();
    bytes.extend_from_slice(b"later");
    let length = u16::try_from(bytes.len() - HEAD_BYTES).expect("short").to_le_bytes();
    bytes[12..14].copy_from_slice(&length);
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..14]), &bytes[HEAD_BYTES..]);
    bytes[14..18].copy_from_slice(&sum.to_le_bytes());
    let (head, body) = bytes.split_first_chunk::<HEAD_BYTES>().expect("a head");
    let head = Head::of_hello(head).expect("a sound head");
    assert_eq!(Hello::decode(&head, body), Ok(hello));
}

#[test]
fn every_flipped_bit_of_a_handshake_is_found() {
    let bytes = hello(Some(OTHER), Purpose::Lane(Lane::Bulk)).encode();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (head, body) = damaged.split_first_chunk::<HEAD_BYTES>().expect("a head");
        let read = Head::of_hello(head).and_then(|head| Hello::decode(&head, body));
        assert!(read.is_err(), "bit {bit}");
    }
}

#[test]
fn a_refusal_is_short_and_printable_whatever_its_sentence() {
    let refusal = Refusal {
        reason: RefusalReason::Other(200),
        cluster: CLUSTER,
        node: OTHER,
        sentence: "\u{1b}[31mé\n".repeat(500),
    };
    let bytes = Answer::Refused(refusal).encode();
    let (head, body) = bytes.split_first_chunk::<HEAD_BYTES>().expect("a head");
    let head = Head::of_answer(head).expect("a sound head");
    let Ok(Answer::Refused(read)) = Answer::decode(&head, body) else { panic!("a refusal") };
    assert_eq!(read.reason, RefusalReason::Other(200));
    assert!(read.sentence.len() <= 512 && !read.sentence.contains(char::is_control));
}
