//! What is checked after each request without being asked for.

use crate::{Entity, Recorded, host, host::Environment, live::Live};

/// Runs something with this environment in place, and keeps what became of it.
pub(super) fn inside<T>(environment: &mut Environment, run: impl FnOnce() -> T) -> T {
    /// Puts the former environment back, also when a handler panics.
    struct PutBack(Option<Environment>);

    impl Drop for PutBack {
        fn drop(&mut self) {
            if let Some(before) = self.0.take() {
                host::replace(before);
            }
        }
    }

    let mut put_back = PutBack(Some(host::replace(environment.clone())));
    let result = run();
    let before = put_back.0.take().unwrap_or_default();
    *environment = host::replace(before);
    result
}

/// The same, with time and randomness refused, as the host does while it folds.
pub(super) fn folding<T>(environment: &mut Environment, run: impl FnOnce() -> T) -> T {
    environment.folding = true;
    let result = inside(environment, run);
    environment.folding = false;
    result
}

/// Events as the host passes them to `apply`.
pub(super) fn as_stored(events: &[Recorded]) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
    events.iter().map(|event| (event.name, event.body.as_slice()))
}

/// An entity restored from a snapshot.
#[track_caller]
pub(super) fn restored<E: Entity>(id: &str, snapshot: &[u8]) -> Live<E> {
    match Live::restore(id.into(), snapshot) {
        Ok(live) => live,
        Err(reason) => {
            panic!("the snapshot can't be restored: {reason}; it is\n{}", snapshot.escape_ascii())
        }
    }
}

/// Replays the journal from the first event and restores the snapshot, and
/// compares both with the entity that lived.
#[track_caller]
pub(super) fn replay<E: Entity>(
    id: &str,
    environment: &mut Environment,
    live: &Live<E>,
    journal: &[Recorded],
) {
    folding(environment, || {
        let snapshot = live.snapshot();
        let mut replayed = Live::<E>::new(id.into());
        if let Err(reason) = replayed.apply(as_stored(journal)) {
            panic!("the events can't be replayed: {reason}");
        }
        same(
            &snapshot,
            &replayed.snapshot(),
            "its events, replayed, lead to another state. `apply` must depend on nothing but the state and the event, and only `apply` may change the state; a HashMap or HashSet in the state has no fixed order, a BTreeMap has",
        );
        same(
            &snapshot,
            &restored::<E>(id, &snapshot).snapshot(),
            "restored from its snapshot, it gives another. What the state needs must be in the snapshot, and in a fixed order: BTreeMap instead of HashMap",
        );
    });
}

/// Restores the snapshot from before a command, folds the command's events, and
/// compares with the entity that lived on.
#[track_caller]
pub(super) fn goes_on<E: Entity>(
    id: &str,
    environment: &mut Environment,
    before: &[u8],
    events: &[Recorded],
    live: &Live<E>,
) {
    folding(environment, || {
        let mut other = restored::<E>(id, before);
        if let Err(reason) = other.apply(as_stored(events)) {
            panic!("restored from a snapshot, it can't go on: {reason}");
        }
        same(
            &live.snapshot(),
            &other.snapshot(),
            "restored from the snapshot before this command, it goes on differently. What `apply` depends on must be in the snapshot; a field that serde skips is not",
        );
    });
}

/// Fails if a request that must not has changed the state.
#[track_caller]
pub(super) fn unchanged(before: &[u8], after: &[u8], request: &str) {
    same(before, after, &format!("{request} changed the state; only events may"));
}

#[track_caller]
fn same(one: &[u8], other: &[u8], what: &str) {
    assert!(
        one == other,
        "{what}.\n  it was {}\n  it is  {}",
        one.escape_ascii(),
        other.escape_ascii()
    );
}

/// Events, one on each line.
pub(super) fn list(events: &[Recorded]) -> String {
    match events {
        [] => "  nothing\n".into(),
        events => events.iter().map(|event| format!("  {event:?}\n")).collect(),
    }
}
