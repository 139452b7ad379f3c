//! What an engine's answer means to a caller.

use stead_model::{Address, PartitionCount, RequestId};
use stead_partition::{Answer, Inspection, ReplyOrigin, ports::GuestFault};

use crate::api::{CallError, CommandReply};

/// When a caller who is turned away should try again, in milliseconds.
pub const RETRY_AFTER_MS: u64 = 1_000;

/// What was asked, so that an answer can speak of it.
pub struct Asked<'a> {
    /// The entity.
    pub address: &'a Address,
    /// "command" or "query".
    pub what: &'static str,
    /// The command's or query's name.
    pub name: &'a str,
    /// The id of a command.
    pub request: Option<&'a RequestId>,
    /// What incidents of this node begin with.
    pub incidents: &'a str,
    /// The partition count: each partition counts incidents of its own.
    pub partitions: PartitionCount,
}

impl Asked<'_> {
    /// A command's reply.
    pub fn command_reply(&self, answer: Answer) -> Result<CommandReply, CallError> {
        match (answer, self.request) {
            (Answer::Reply { body, sequence, origin }, Some(request)) => {
                let replayed = origin == ReplyOrigin::Replayed;
                Ok(CommandReply { body, sequence, request: request.clone(), replayed })
            }
            (answer, _) => Err(self.error(answer)),
        }
    }

    /// A query's reply.
    pub fn query_reply(&self, answer: Answer) -> Result<Vec<u8>, CallError> {
        match answer {
            Answer::QueryReply(body) => Ok(body),
            answer => Err(self.error(answer)),
        }
    }

    /// How an entity fares.
    pub fn inspection(&self, answer: Answer) -> Result<Inspection, CallError> {
        match answer {
            Answer::Inspection(inspection) => Ok(inspection),
            answer => Err(self.error(answer)),
        }
    }

    /// The answer as an error.
    pub fn error(&self, answer: Answer) -> CallError {
        match answer {
            Answer::Rejected(rejection) => CallError::Rejected(rejection),
            Answer::UnknownType => CallError::UnknownType(self.address.entity_type.clone()),
            Answer::UnknownName { known } => CallError::UnknownName {
                entity_type: self.address.entity_type.clone(),
                what: self.what.into(),
                name: self.name.to_owned(),
                known,
            },
            Answer::MailboxFull => CallError::MailboxFull { retry_after_ms: RETRY_AFTER_MS },
            Answer::DeadlinePassed => CallError::DeadlinePassed,
            Answer::KeyReused => match self.request {
                Some(request) => CallError::KeyReused(request.clone()),
                None => unexpected("a reused key"),
            },
            // The host's own troubles are not the entity's doing, and may pass.
            Answer::Fault { fault: fault @ GuestFault::Host(_), .. } => {
                unavailable(fault.to_string())
            }
            Answer::Fault { incident, fault } => CallError::Guest {
                incident: format!(
                    "{}-{}-{}",
                    self.incidents,
                    self.partitions.partition_of(self.address),
                    incident.0
                ),
                reason: fault.to_string(),
            },
            Answer::Unreadable(reason) => CallError::Unreadable { reason },
            Answer::DiskFull(reason) => {
                CallError::DiskFull { reason, retry_after_ms: RETRY_AFTER_MS }
            }
            Answer::OutcomeUnknown(reason) => self.outcome_unknown(reason),
            Answer::Unavailable(reason) => unavailable(reason),
            Answer::SnapshotRefused(reason) => unavailable(reason),
            Answer::Reply { .. }
            | Answer::QueryReply(_)
            | Answer::SnapshotStored(_)
            | Answer::Inspection(_) => unexpected("an answer to another question"),
        }
    }

    /// Nobody knows whether the command was recorded.
    pub fn outcome_unknown(&self, reason: String) -> CallError {
        match self.request {
            Some(request) => CallError::OutcomeUnknown { request: request.clone(), reason },
            // A query changes nothing, so there is nothing to be unsure of.
            None => unavailable(reason),
        }
    }
}

/// Not now.
pub fn unavailable(reason: impl Into<String>) -> CallError {
    CallError::Unavailable { reason: reason.into(), retry_after_ms: RETRY_AFTER_MS }
}

fn unexpected(what: &str) -> CallError {
    tracing::error!(what, "the engine gave an answer that does not fit the question");
    unavailable("an internal error; see the node's log")
}

#[cfg(test)]
mod tests {
    use stead_partition::Incident;

    use super::*;

    #[test]
    fn only_what_the_guest_did_is_called_its_failure() {
        let address: Address = "cart/1".parse().expect("an address");
        let asked = Asked {
            address: &address,
            what: "command",
            name: "add",
            request: None,
            incidents: "a1",
            partitions: PartitionCount::default(),
        };
        let of = |fault| asked.error(Answer::Fault { incident: Incident(3), fault });
        let trap = of(GuestFault::Trap("unreachable".into()));
        assert!(matches!(trap, CallError::Guest { incident, .. } if incident.ends_with("-3")));
        let host = of(GuestFault::Host("too many instances".into()));
        assert!(
            matches!(host, CallError::Unavailable { reason, .. } if reason.contains("instances"))
        );
    }
}
