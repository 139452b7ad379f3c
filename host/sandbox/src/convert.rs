//! From what a guest hands over to the model's types, checked on the way.

use stead_model::{
    Description, Effect, Event, EventKind, GuestLimits, Lifecycle, Operation, Outcome, Rejection,
};

use crate::{bindings::stead::entity::types, fault::SandboxFault, lines::cut};

/// The most bytes in a rejection's code.
const CODE_BYTES_MAX: usize = 128;
/// The most bytes in a rejection's message, and in a guest's own word for why
/// it can't apply or restore.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// The most bytes in a rejection's details.
const DETAILS_BYTES_MAX: usize = 64 << 10;

/// An outcome within its limits, of events and effects that are described.
pub(crate) fn outcome(
    outcome: types::Outcome,
    limits: &GuestLimits,
    description: &Description,
) -> Result<Outcome, SandboxFault> {
    if outcome.events.len() > limits.outcome_events_max {
        return refuse(format!(
            "{} events in one outcome, where {} may be",
            outcome.events.len(),
            limits.outcome_events_max
        ));
    }
    check_reply(&outcome.reply, limits)?;
    let bytes = outcome.reply.len()
        + outcome.events.iter().map(|e| e.name.len() + e.body.len()).sum::<usize>()
        + outcome.effects.iter().map(|e| e.kind.len() + e.body.len()).sum::<usize>();
    if bytes > limits.outcome_bytes_max {
        return refuse(format!(
            "an outcome of {bytes} bytes, where {} may be",
            limits.outcome_bytes_max
        ));
    }
    let undescribed = |name: &str| format!("{:?}, which it does not describe", cut(name, 80));
    if let Some(event) = outcome.events.iter().find(|e| !description.has_event(&e.name)) {
        return refuse(format!("an event {}", undescribed(&event.name)));
    }
    if let Some(effect) = outcome.effects.iter().find(|e| !description.effects.contains(&e.kind)) {
        return refuse(format!("an effect {}", undescribed(&effect.kind)));
    }
    Ok(Outcome {
        events: outcome
            .events
            .into_iter()
            .map(|event| Event { name: event.name, body: event.body })
            .collect(),
        reply: outcome.reply,
        lifecycle: match outcome.lifecycle {
            types::Lifecycle::Continues => Lifecycle::Continues,
            types::Lifecycle::EndsKeepingEvents => Lifecycle::EndsKeepingEvents,
            types::Lifecycle::EndsPurgingEvents => Lifecycle::EndsPurgingEvents,
        },
        effects: outcome
            .effects
            .into_iter()
            .map(|effect| Effect { kind: effect.kind, body: effect.body })
            .collect(),
    })
}

/// Refuses a reply that is too large.
pub(crate) fn check_reply(reply: &[u8], limits: &GuestLimits) -> Result<(), SandboxFault> {
    if reply.len() <= limits.reply_bytes_max {
        return Ok(());
    }
    refuse(format!("a reply of {} bytes, where {} may be", reply.len(), limits.reply_bytes_max))
}

/// Refuses a snapshot that is too large.
pub(crate) fn check_snapshot(state: &[u8], limits: &GuestLimits) -> Result<(), SandboxFault> {
    if state.len() <= limits.snapshot_bytes_max {
        return Ok(());
    }
    refuse(format!(
        "a snapshot of {} bytes, where {} may be",
        state.len(),
        limits.snapshot_bytes_max
    ))
}

fn refuse<T>(what: String) -> Result<T, SandboxFault> {
    Err(SandboxFault::Refused(what))
}

/// A rejection that can be passed on: its status in range, its texts bounded,
/// its details JSON or none.
pub(crate) fn rejection(rejection: types::Rejection) -> Rejection {
    let details = rejection.details.filter(|details| {
        details.len() <= DETAILS_BYTES_MAX
            && serde_json::from_slice::<serde::de::IgnoredAny>(details).is_ok()
    });
    Rejection {
        status: if (400..=499).contains(&rejection.status) { rejection.status } else { 422 },
        code: bounded(rejection.code, CODE_BYTES_MAX),
        message: bounded(rejection.message, MESSAGE_BYTES_MAX),
        details,
    }
}

/// The text, cut if it is over so many bytes.
pub(crate) fn bounded(text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max { text } else { cut(&text, bytes_max).into_owned() }
}

/// A description as the guest gave it, unchecked.
pub(crate) fn description(description: types::Description) -> Description {
    Description {
        summary: description.summary,
        sdk: description.sdk,
        commands: description.commands.into_iter().map(operation).collect(),
        queries: description.queries.into_iter().map(operation).collect(),
        events: description
            .events
            .into_iter()
            .map(|event| EventKind {
                name: event.name,
                summary: event.summary,
                content_type: event.content_type,
                schema: event.schema,
            })
            .collect(),
        effects: description.effects,
        state_schema: description.state_schema,
    }
}

fn operation(operation: types::Operation) -> Operation {
    Operation {
        name: operation.name,
        summary: operation.summary,
        request_type: operation.request_type,
        request_schema: operation.request_schema,
        reply_type: operation.reply_type,
        reply_schema: operation.reply_schema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_are_made_fit_to_pass_on() {
        let given = |status, details: Option<&[u8]>| {
            rejection(types::Rejection {
                status,
                code: "c".repeat(1_000),
                message: "ä".repeat(10_000),
                details: details.map(<[u8]>::to_vec),
            })
        };
        assert_eq!(given(404, None).status, 404);
        for status in [0, 200, 399, 500, u16::MAX] {
            assert_eq!(given(status, None).status, 422);
        }
        assert!(given(422, None).code.len() <= CODE_BYTES_MAX + 3);
        assert!(given(422, None).message.len() <= MESSAGE_BYTES_MAX + 3);
        assert_eq!(given(422, Some(b"{\"a\":1}")).details.as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(given(422, Some(b"{\"a\":")).details, None);
        let long = format!("\"{}\"", "x".repeat(DETAILS_BYTES_MAX));
        assert_eq!(given(422, Some(long.as_bytes())).details, None);
    }
}
