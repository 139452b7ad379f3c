//! The test kit finds the mistakes that would cost an entity its state: each is
//! made here on purpose.

use std::cell::Cell;

use stead_sdk::{prelude::*, test::given};

#[derive(Event)]
enum Happened {
    Ticked,
    Measured { value: f64 },
}

/// An entity with one command `go`, and an `apply` and a state of the test's.
macro_rules! entity {
    ($name:ident { $($field:tt)* } |$self:ident, $ctx:ident| $go:block apply $apply:expr) => {
        #[derive(Default, Serialize, Deserialize, JsonSchema)]
        struct $name { $($field)* }

        #[entity]
        impl $name {
            #[command]
            fn go(&$self, $ctx: &mut Context<Self>) $go

            #[query]
            fn peek(&$self) {
                $self.peeked();
            }

            fn apply(&mut $self, event: Happened) {
                let apply: fn(&mut Self, Happened) = $apply;
                apply($self, event);
            }
        }
    };
}

/// Where a mistake is to be made.
trait Peeked {
    fn peeked(&self) {}
}

thread_local! {
    static OUTSIDE: Cell<u64> = const { Cell::new(0) };
}

entity!(Impure { value: u64 } |self, ctx| { ctx.record(Happened::Ticked); } apply |state, _| {
    OUTSIDE.set(OUTSIDE.get() + 1);
    state.value = OUTSIDE.get();
});
impl Peeked for Impure {}

#[test]
#[should_panic(expected = "its events, replayed, lead to another state")]
fn a_fold_that_depends_on_more_than_the_event_is_found() {
    let _ = given::<Impure>([]).when("go", ());
}

entity!(Forgetful { #[serde(skip)] value: u64, shown: u64 } |self, ctx| {
    ctx.record(Happened::Ticked);
} apply |state, _| {
    state.value += 1;
    state.shown = state.value;
});
impl Peeked for Forgetful {}

entity!(Twisted { #[serde(serialize_with = "one_more")] value: u64 } |self, ctx| {
    ctx.record(Happened::Ticked);
} apply |state, _| state.value += 1);
impl Peeked for Twisted {}

fn one_more<S: serde::Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(value + 1)
}

#[test]
#[should_panic(expected = "restored from its snapshot, it gives another")]
fn a_snapshot_that_is_not_read_as_written_is_found() {
    let _ = given::<Twisted>([]).when("go", ());
}

#[test]
#[should_panic(expected = "goes on differently")]
fn a_state_that_is_not_all_in_its_snapshot_is_found() {
    let _ = given::<Forgetful>([]).when("go", ()).when("go", ());
}

entity!(Sneaky { value: Cell<u64> } |self, ctx| {
    ctx.record(Happened::Ticked);
    self.value.set(7);
} apply |_, _| {});
impl Peeked for Sneaky {
    fn peeked(&self) {
        self.value.set(9);
    }
}

#[test]
#[should_panic(expected = "its events, replayed, lead to another state")]
fn a_command_that_changes_the_state_is_found() {
    let _ = given::<Sneaky>([]).when("go", ());
}

#[test]
#[should_panic(expected = "the query \"peek\" changed the state")]
fn a_query_that_changes_the_state_is_found() {
    let _ = given::<Sneaky>([]).query("peek", ());
}

entity!(Endless { value: f64 } |self, ctx| {
    ctx.record(Happened::Measured { value: f64::INFINITY });
} apply |state, event| if let Happened::Measured { value } = event { state.value = value });
impl Peeked for Endless {}

#[test]
#[should_panic(
    expected = "the event \"measured\" was written as {\"value\":null} and can't be read back"
)]
fn an_event_that_can_not_be_read_back_stops_the_command() {
    let _ = given::<Endless>([]).when("go", ());
}

#[test]
#[should_panic(
    expected = "the command \"go\" recorded\n  ticked \ninstead of\n  measured {\"value\":1.0}\n"
)]
fn an_expectation_that_fails_shows_both() {
    entity!(Plain {} |self, ctx| { ctx.record(Happened::Ticked); } apply |_, _| {});
    impl Peeked for Plain {}
    let _ = given::<Plain>([]).when("go", ()).then([Happened::Measured { value: 1.0 }]);
}
