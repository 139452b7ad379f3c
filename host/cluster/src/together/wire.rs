//! What nodes ask of each other beside consensus: postcard, of a version that the
//! transport's handshake agrees on. Only ever add kinds at the end.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stead_model::{
    Address, ComponentHash, EntityId, EntityType, NodeId, RequestId, SequenceNumber, TypeVersion,
};

use super::fares::Fares;
use crate::api::{
    CallError, CommandReply, DeployError, DrainAnswer, EntityStatus, EventPage, OperateError,
    PlacementView, SnapshotView,
};

/// What is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ask {
    /// A command for an entity whose partition the asked node leads.
    Command {
        address: Address,
        name: String,
        body: Vec<u8>,
        request: RequestId,
        /// Whether it can't have been sent before.
        fresh: bool,
        patience_ms: u64,
    },
    /// A query for such an entity.
    Query { address: Address, name: String, body: Vec<u8>, patience_ms: u64 },
    /// A part of such an entity's history.
    Events { address: Address, from: u64, to: u64, count_max: u64 },
    /// Such an entity's newest snapshot.
    Snapshot { address: Address },
    /// To take one.
    TakeSnapshot { address: Address },
    /// How such an entity fares.
    Inspect { address: Address },
    /// Entities in partitions that the asked node leads.
    Entities {
        entity_type: EntityType,
        after: Option<EntityId>,
        count_max: u64,
        partitions: Vec<u16>,
    },
    /// To put a component into service that the asking node has.
    Deploy { component: ComponentHash, manifest: Json },
    /// To put an earlier version back.
    Rollback { entity_type: EntityType, version: TypeVersion },
    /// To take a type out of service.
    Undeploy { entity_type: EntityType },
    /// A part of a component.
    Component { component: ComponentHash, from: u64 },
    /// The groups that the asked node has a part in.
    Groups,
    /// A step of placement, on a group that the asked node leads.
    Step(Step),
    /// To tell when the asked node has taken over the facts up to this one.
    Follow { through: SequenceNumber },
    /// To have a node emptied; where the facts are led.
    Drain { node: NodeId, force: bool },
    /// To have a node stay after all.
    Stay { node: NodeId },
    /// Whether the asking node may take part, with the data that it has.
    Welcome,
    /// To keep away from nodes that are about to be given up.
    KeepAway { nodes: Vec<NodeId> },
    /// To give nodes up; where the facts are led.
    GiveUp { nodes: Vec<NodeId> },
    /// To go on alone with a group, a node of which is given up.
    GoOnAlone { partition: u16, lost: NodeId, above: u64 },
    /// To begin a group anew of which nothing is left.
    BeginAnew { partition: u16 },
    /// What placement wants; of the node that places.
    Plan,
    /// How the asked node fares.
    Fares,
}

/// A value that postcard can't carry, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Json(pub Vec<u8>);

impl Json {
    pub fn of(value: &impl Serialize) -> Self {
        Self(serde_json::to_vec(value).expect("it has text keys and finite numbers"))
    }

    pub fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.0).map_err(|error| error.to_string())
    }
}

/// A step of placement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    AddLearner { partition: u16, node: NodeId },
    ChangeVoters { partition: u16, voters: Vec<NodeId> },
    RemoveLearner { partition: u16, node: NodeId },
    TransferLeader { partition: u16, to: NodeId },
}

/// A group, as one of its nodes sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub partition: u16,
    pub term: u64,
    /// Whether the node that says this leads it.
    pub leads: bool,
    pub voters: Vec<NodeId>,
    /// The sets of voters of each of which a majority decides.
    pub deciding: Vec<Vec<NodeId>>,
    pub learners: Vec<NodeId>,
    pub is_changing: bool,
    /// The last entry of its log, and that one's term.
    pub last: u64,
    pub last_term: u64,
    /// How far it is committed, as far as that node knows.
    pub committed: u64,
    /// How far the others' logs have come; of the leader alone.
    pub matched: Vec<(NodeId, u64)>,
}

/// What a node says of itself to who places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    pub draining: bool,
    pub groups: Vec<Group>,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Told {
    Command(Result<CommandReply, CallError>),
    Query(Result<Vec<u8>, CallError>),
    Events(Result<EventPage, CallError>),
    Snapshot(Result<Option<SnapshotView>, CallError>),
    Taken(Result<SnapshotView, CallError>),
    Inspection(Result<EntityStatus, CallError>),
    Entities(Result<Vec<EntityId>, CallError>),
    /// The number of the fact that it is now.
    Deployed(Result<SequenceNumber, DeployError>),
    /// A part of a component, and its whole size; none if it isn't here.
    Component(Option<(Vec<u8>, u64)>),
    Groups(Groups),
    Step(Result<(), String>),
    /// The question made no sense to the asked node.
    Unknown(String),
    /// Whether it has.
    Followed(bool),
    Drained(Result<DrainAnswer, OperateError>),
    Welcome(bool),
    /// It does.
    KeepsAway,
    GivenUp(Result<(), OperateError>),
    /// A group goes on.
    GoesOn(Result<(), String>),
    /// By partition; none if the asked node doesn't place.
    Plan(Option<Vec<(u16, PlacementView)>>),
    Fares(Fares),
}

pub fn encode(value: &impl Serialize) -> bytes::Bytes {
    postcard::to_stdvec(value).expect("it is made of plain values").into()
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes too many", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_these_bytes() {
        let ask = Ask::Command {
            address: "a/b".parse().expect("an address"),
            name: "add".into(),
            body: vec![9, 8],
            request: RequestId::Caller("k".into()),
            fresh: true,
            patience_ms: 300,
        };
        let bytes = encode(&ask);
        let known: &[u8] =
            &[0, 1, b'a', 1, b'b', 3, b'a', b'd', b'd', 2, 9, 8, 0, 1, b'k', 1, 172, 2];
        assert_eq!(bytes, known);
        let step = Ask::Step(Step::TransferLeader { partition: 3, to: NodeId(7) });
        assert!(matches!(
            decode::<Ask>(&encode(&step)),
            Ok(Ask::Step(Step::TransferLeader { partition: 3, to: NodeId(7) }))
        ));
    }

    /// One of each kind of question, and of each answer, in the order of their numbers.
    /// A new kind comes at the end of its list, and gets a line at the end of its file.
    fn all() -> (Vec<Ask>, Vec<Told>) {
        let address = || "a/b".parse().expect("an address");
        let entity_type = || "a".parse().expect("a type");
        let step = Ask::Step;
        let partition = 300;
        let asks = vec![
            Ask::Command {
                address: address(),
                name: "add".into(),
                body: vec![9, 8],
                request: RequestId::Minted(300),
                fresh: false,
                patience_ms: 300,
            },
            Ask::Query { address: address(), name: "n".into(), body: vec![1], patience_ms: 300 },
            Ask::Events { address: address(), from: 1, to: 300, count_max: 7 },
            Ask::Snapshot { address: address() },
            Ask::TakeSnapshot { address: address() },
            Ask::Inspect { address: address() },
            Ask::Entities {
                entity_type: entity_type(),
                after: Some("b".parse().expect("an id")),
                count_max: 7,
                partitions: vec![1, 300],
            },
            Ask::Deploy { component: ComponentHash([7; 32]), manifest: Json(vec![1]) },
            Ask::Rollback { entity_type: entity_type(), version: TypeVersion(300) },
            Ask::Undeploy { entity_type: entity_type() },
            Ask::Component { component: ComponentHash([7; 32]), from: 300 },
            Ask::Groups,
            step(Step::AddLearner { partition, node: NodeId(7) }),
            Ask::Follow { through: SequenceNumber(300) },
            Ask::Drain { node: NodeId(7), force: true },
            Ask::Stay { node: NodeId(7) },
            Ask::Welcome,
            Ask::KeepAway { nodes: vec![NodeId(7)] },
            Ask::GiveUp { nodes: vec![NodeId(7)] },
            Ask::GoOnAlone { partition, lost: NodeId(7), above: 300 },
            Ask::BeginAnew { partition },
            Ask::Plan,
            Ask::Fares,
            step(Step::ChangeVoters { partition, voters: vec![NodeId(7), NodeId(8)] }),
            step(Step::RemoveLearner { partition, node: NodeId(7) }),
            step(Step::TransferLeader { partition, to: NodeId(7) }),
        ];
        let reply = CommandReply {
            body: vec![9],
            sequence: SequenceNumber(300),
            request: RequestId::Caller("k".into()),
            replayed: true,
        };
        let group = Group {
            partition,
            term: 300,
            leads: true,
            voters: vec![NodeId(7)],
            deciding: vec![vec![NodeId(7)]],
            learners: vec![NodeId(8)],
            is_changing: true,
            last: 300,
            last_term: 3,
            committed: 299,
            matched: vec![(NodeId(7), 300)],
        };
        let view = SnapshotView {
            sequence: SequenceNumber(300),
            version: TypeVersion(2),
            at: stead_model::TimestampMs(300),
            state: vec![1, 2],
        };
        let status = EntityStatus {
            address: "a/b".into(),
            partition,
            live: true,
            last_sequence: SequenceNumber(300),
            snapshot_sequence: Some(SequenceNumber(2)),
            waiting: 3,
            last_replay_events: None,
            last_replay_us: Some(300),
            instance_memory_bytes: Some(300),
            quarantined: false,
            unreadable: Some("x".into()),
        };
        let tolds = vec![
            Told::Command(Ok(reply)),
            Told::Query(Ok(vec![9])),
            Told::Events(Ok(EventPage::default())),
            Told::Snapshot(Ok(Some(view.clone()))),
            Told::Taken(Ok(view)),
            Told::Inspection(Ok(status)),
            Told::Entities(Ok(vec!["b".parse().expect("an id")])),
            Told::Deployed(Ok(SequenceNumber(300))),
            Told::Component(Some((vec![9], 300))),
            Told::Groups(Groups { draining: true, groups: vec![group] }),
            Told::Step(Err("no".into())),
            Told::Unknown("what".into()),
            Told::Followed(true),
            Told::Drained(Err(OperateError::NotNow("no".into()))),
            Told::Welcome(true),
            Told::KeepsAway,
            Told::GivenUp(Ok(())),
            Told::GoesOn(Err("no".into())),
            Told::Plan(None),
            Told::Fares(Fares {
                shortage: Some("x".into()),
                stopped: vec![300],
                problems: vec!["z".into()],
            }),
            Told::Query(Err(CallError::DeadlinePassed)),
            Told::Deployed(Err(DeployError::Stopping)),
        ];
        (asks, tolds)
    }

    /// What is said is pinned, kind by kind: nodes of two releases must understand each
    /// other. `STEAD_GOLDEN=make` makes the file if there is none.
    #[test]
    fn all_that_is_said_is_these_bytes() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (asks, tolds) = all();
        let asked = asks.iter().map(|ask| format!("ask {}", hex(&encode(ask))));
        let told = tolds.iter().map(|told| format!("told {}", hex(&encode(told))));
        let lines: Vec<String> = asked.chain(told).collect();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/wire.txt");
        if std::env::var_os("STEAD_GOLDEN").is_some_and(|value| value == "make") && !path.exists() {
            std::fs::write(&path, lines.join("\n") + "\n").expect("written");
        }
        let golden = std::fs::read_to_string(&path).expect("a golden file");
        assert_eq!(lines, golden.lines().collect::<Vec<_>>());
        for (kind, ask) in asks.iter().take(23).enumerate() {
            let bytes = encode(ask);
            assert_eq!(
                bytes.first().copied().map(usize::from),
                Some(kind),
                "kinds keep their numbers: {ask:?}"
            );
            let read: Ask = decode(&bytes).expect("it reads what it writes");
            assert_eq!(format!("{read:?}"), format!("{ask:?}"));
        }
        for (kind, told) in tolds.iter().take(20).enumerate() {
            let bytes = encode(told);
            assert_eq!(
                bytes.first().copied().map(usize::from),
                Some(kind),
                "kinds keep their numbers: {told:?}"
            );
            let read: Told = decode(&bytes).expect("it reads what it writes");
            assert_eq!(format!("{read:?}"), format!("{told:?}"));
        }
    }

    /// A question of a later release is told to be unknown, and does no other harm.
    #[test]
    fn a_kind_that_only_a_later_release_knows_is_an_error_like_another() {
        for later in 23..=255_u8 {
            let bytes: &[u8] = if later < 128 { &[later, 1] } else { &[later, 1, 1] };
            let why = decode::<Ask>(bytes).expect_err("there is no such kind");
            assert!(!why.is_empty());
            assert!(decode::<Told>(bytes).is_err());
        }
    }

    #[test]
    fn garbage_is_told() {
        assert!(decode::<Ask>(&[]).is_err());
        assert!(decode::<Ask>(&[200, 1]).is_err());
        assert!(decode::<Ask>(&[11, 0]).is_err(), "one byte too many");
        assert!(decode::<Ask>(&[0, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    }
}
