//! The way of a call through the node that took it to the one that leads: as the
//! node's own routing does it, tried again under the same request id through
//! failovers.

use std::{future::Future, sync::Arc, time::Duration};

use stead_model::{Address, NodeId, PartitionId, RequestId};
use stead_partition::{Answer, ReplyOrigin, seat::Request};
use tokio::time::Instant;

use crate::{
    model::QUERY,
    network::{Load, Packet, Said},
    node::Node,
    talk::{Ask, CallError, Reply, Told},
};

/// As in the node: how long somebody who leads is waited for, and between tries.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);
const WAIT_MIN: Duration = Duration::from_millis(4);
const WAIT_MAX: Duration = Duration::from_millis(50);
const MARGIN: Duration = Duration::from_millis(20);
/// How long a step of placement may take.
const STEP_PATIENCE: Duration = Duration::from_secs(20);

/// A command on its way.
#[derive(Debug, Clone)]
pub struct Command {
    /// The entity.
    pub address: Address,
    /// The command.
    pub name: Arc<str>,
    /// Its argument.
    pub body: Arc<[u8]>,
    /// Its id.
    pub request: RequestId,
    /// Whether that was minted by the node that took it.
    pub minted: bool,
}

/// What became of one try.
enum Tried<T> {
    Answered(Result<T, CallError>),
    NotTaken(CallError),
    Unknown(CallError),
}

impl<T> Tried<T> {
    fn of(result: Result<T, CallError>) -> Self {
        match result {
            Err(error @ CallError::Unavailable(_)) => Self::NotTaken(error),
            Err(error @ CallError::OutcomeUnknown(_)) => Self::Unknown(error),
            result => Self::Answered(result),
        }
    }
}

enum AskFailed {
    NotTaken(String),
    Unknown(String),
}

fn unavailable(why: impl Into<String>) -> CallError {
    CallError::Unavailable(why.into())
}

async fn routed<T, F: Future<Output = Tried<T>>>(
    node: &Node,
    partition: PartitionId,
    deadline: Instant,
    mut attempt: impl FnMut(NodeId, bool) -> F,
) -> Result<T, CallError> {
    let mut unknown = None;
    let mut wait = WAIT_MIN;
    let mut leaderless_until = Instant::now() + LEADER_PATIENCE;
    loop {
        let refused = match node.consensus().leader(partition) {
            Some(leader) => match attempt(leader, unknown.is_none()).await {
                Tried::Answered(result) => return result,
                Tried::NotTaken(error) => error,
                Tried::Unknown(error) => {
                    leaderless_until = Instant::now() + LEADER_PATIENCE;
                    unknown = Some(error.clone());
                    error
                }
            },
            None => unavailable(format!("partition {partition} has no leader for now")),
        };
        if Instant::now() + wait >= deadline.min(leaderless_until) {
            return Err(unknown.unwrap_or(refused));
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

fn patience_ms(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// Asks another node.
async fn ask(node: &Node, to: NodeId, ask: Ask, deadline: Instant) -> Result<Told, AskFailed> {
    let Some(at) = node.network.machine_of(to) else {
        return Err(AskFailed::NotTaken("nobody knows it".into()));
    };
    let answer = node.network.call(node.machine, at, 3, Load::Ask(ask));
    match tokio::time::timeout_at(deadline, answer).await {
        Ok(Said::Told(told)) => Ok(told),
        Ok(Said::Refused) => Err(AskFailed::NotTaken("refused".into())),
        Ok(Said::Broken | Said::Bytes(_)) => Err(AskFailed::Unknown("it broke".into())),
        Err(_) => Err(AskFailed::Unknown("no answer in time".into())),
    }
}

/// Asks another node for something that does no harm.
pub async fn ask_for(node: &Node, to: NodeId, question: Ask, patience: Duration) -> Option<Told> {
    ask(node, to, question, Instant::now() + patience).await.ok()
}

/// A command, from wherever it came in.
pub async fn command(
    node: Arc<Node>,
    command: Command,
    patience: Duration,
) -> Result<Reply, CallError> {
    let deadline = Instant::now() + patience;
    let partition = node.count.partition_of(&command.address);
    let (node, command) = (&node, &command);
    routed(node, partition, deadline, |leader, first| async move {
        let fresh = command.minted && first;
        if leader == node.id() {
            return Tried::of(command_here(node, command, fresh, deadline).await);
        }
        let Command { address, name, body, request, .. } = command.clone();
        let patience_ms = patience_ms(deadline);
        let question = Ask::Command { address, name, body, request, fresh, patience_ms };
        match ask(node, leader, question, deadline).await {
            Ok(Told::Command(result)) => Tried::of(result),
            Ok(_) => Tried::Answered(Err(CallError::Other("a misfit".into()))),
            Err(AskFailed::NotTaken(why)) => Tried::NotTaken(unavailable(why)),
            Err(AskFailed::Unknown(why)) => Tried::Unknown(CallError::OutcomeUnknown(why)),
        }
    })
    .await
}

/// A query, from wherever it came in.
pub async fn query(
    node: Arc<Node>,
    address: Address,
    patience: Duration,
) -> Result<Vec<u8>, CallError> {
    let deadline = Instant::now() + patience;
    let partition = node.count.partition_of(&address);
    let (node, address) = (&node, &address);
    routed(node, partition, deadline, |leader, _| async move {
        if leader == node.id() {
            return Tried::of(query_here(node, address, deadline).await);
        }
        let patience_ms = patience_ms(deadline);
        let question = Ask::Query { address: address.clone(), patience_ms };
        match ask(node, leader, question, deadline).await {
            Ok(Told::Query(result)) => Tried::of(result),
            Ok(_) => Tried::Answered(Err(CallError::Other("a misfit".into()))),
            Err(AskFailed::NotTaken(why) | AskFailed::Unknown(why)) => {
                Tried::NotTaken(unavailable(why))
            }
        }
    })
    .await
}

async fn here(
    node: &Node,
    address: &Address,
    request: Request,
    deadline: Instant,
) -> Result<Answer, CallError> {
    let is_command = matches!(request, Request::Command { .. });
    let partition = node.count.partition_of(address);
    let unknown = |why: &str| match is_command {
        true => CallError::OutcomeUnknown(why.into()),
        false => unavailable(why),
    };
    let receiver = match node.ask(request) {
        Ok(receiver) => receiver,
        Err(answer) => return Err(error(answer, is_command)),
    };
    match tokio::time::timeout_at(deadline, receiver).await {
        Ok(Ok(Answer::Unreadable(_))) if node.consensus().failure(partition).is_some() => {
            Err(unavailable("its replica here has failed"))
        }
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(unknown("the partition stopped serving")),
        Err(_) => Err(unknown("the deadline passed")),
    }
}

fn error(answer: Answer, is_command: bool) -> CallError {
    match answer {
        Answer::Rejected(rejection) => CallError::Rejected(rejection),
        Answer::OutcomeUnknown(why) if is_command => CallError::OutcomeUnknown(why),
        Answer::OutcomeUnknown(why) | Answer::Unavailable(why) => unavailable(why),
        // They pass; the caller is told to come again.
        Answer::MailboxFull => unavailable("the mailbox is full"),
        Answer::DeadlinePassed => unavailable("the deadline passed"),
        Answer::Fault { .. } => CallError::Trapped,
        other => CallError::Other(format!("{other:?}")),
    }
}

fn engine_deadline(node: &Node, deadline: Instant) -> stead_model::TimestampMs {
    let left = deadline.saturating_duration_since(Instant::now());
    node.clock.now().plus_ms(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
}

async fn command_here(
    node: &Node,
    command: &Command,
    fresh: bool,
    deadline: Instant,
) -> Result<Reply, CallError> {
    let of = &command.address;
    let Command { address, name, body, request, .. } = command.clone();
    let until = engine_deadline(node, deadline);
    let asked = Request::Command { address, name, body, request, fresh, deadline: until };
    match here(node, of, asked, deadline).await? {
        Answer::Reply { body, sequence, origin } => {
            Ok(Reply { body, sequence, recorded: origin != ReplyOrigin::Unrecorded })
        }
        answer => Err(error(answer, true)),
    }
}

async fn query_here(
    node: &Node,
    address: &Address,
    deadline: Instant,
) -> Result<Vec<u8>, CallError> {
    let asked = Request::Query {
        address: address.clone(),
        name: QUERY.into(),
        body: Arc::from(&[][..]),
        deadline: engine_deadline(node, deadline),
    };
    match here(node, address, asked, deadline).await? {
        Answer::QueryReply(body) => Ok(body),
        answer => Err(error(answer, false)),
    }
}

/// Answers what another node asks.
pub async fn serve(node: Arc<Node>, packet: Packet) {
    let Load::Ask(asked) = packet.load.clone() else { return };
    let until = |patience_ms: u64| Instant::now() + Duration::from_millis(patience_ms);
    let told = match asked {
        Ask::Command { address, name, body, request, fresh, patience_ms } => {
            let command = Command { address, name, body, request, minted: fresh };
            Told::Command(command_here(&node, &command, fresh, until(patience_ms)).await)
        }
        Ask::Query { address, patience_ms } => {
            Told::Query(query_here(&node, &address, until(patience_ms)).await)
        }
        Ask::Groups => Told::Groups(node.id(), crate::placing::groups(&node).await),
        Ask::Step(step) => {
            // Whether it was made is seen by the next plan.
            let _ = tokio::time::timeout(STEP_PATIENCE, crate::placing::make(&node, step)).await;
            Told::Step
        }
    };
    node.network.reply(&packet, Said::Told(told));
}
