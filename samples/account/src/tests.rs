//! Given these events, when this command, then these events and this reply.

use serde_json::{Value, json};
use stead_sdk::{
    Ending,
    test::{Scenario, given},
};

use crate::{
    AMOUNT_MAX, Account,
    AccountEvent::{self, Closed, Deposited, HoldCaptured, HoldPlaced, HoldReleased, Withdrawn},
    BALANCE_MAX, HOLDS_MAX,
};

fn placed(hold: &str, amount: u64) -> AccountEvent {
    HoldPlaced { hold: hold.into(), amount, at_ms: 5 }
}

fn with(amount: u64) -> Scenario<Account> {
    given::<Account>([Deposited { amount }])
}

#[test]
fn money_comes_and_goes() {
    with(100)
        .when("withdraw", json!({ "amount": 30 }))
        .then([Withdrawn { amount: 30 }])
        .replies(json!({ "balance": 70, "held": 0, "available": 70 }))
        .when("deposit", json!({ "amount": 1 }))
        .then([Deposited { amount: 1 }])
        .query("balance", ())
        .replies(json!({ "balance": 71, "held": 0, "available": 71 }));
}

#[test]
fn an_account_is_never_overdrawn() {
    with(100)
        .when("withdraw", json!({ "amount": 101 }))
        .rejects(409, "insufficient-funds")
        .when("withdraw", json!({ "amount": 100 }))
        .when("withdraw", json!({ "amount": 1 }))
        .rejects(409, "insufficient-funds");
}

#[test]
fn what_is_held_can_not_be_spent() {
    let account = with(100)
        .at_ms(5)
        .when("place-hold", json!({ "amount": 60, "hold": "order" }))
        .then([placed("order", 60)])
        .replies(json!({ "hold": "order", "balance": 100, "held": 60, "available": 40 }))
        .when("withdraw", json!({ "amount": 41 }))
        .rejects(409, "insufficient-funds");
    let details: Value =
        serde_json::from_slice(account.rejection().details().expect("details")).expect("JSON");
    assert_eq!(details, json!({ "requested": 41, "available": 40 }));
    account
        .when("place-hold", json!({ "amount": 41 }))
        .rejects(409, "insufficient-funds")
        .when("place-hold", json!({ "amount": 1, "hold": "order" }))
        .rejects(409, "hold-exists")
        .query("holds", ())
        .replies(json!({ "order": { "amount": 60, "placed_at_ms": 5 } }));
}

#[test]
fn a_hold_is_captured_once_wholly_or_in_part() {
    given::<Account>([Deposited { amount: 100 }, placed("a", 60), placed("b", 40)])
        .when("capture-hold", json!({ "hold": "a", "amount": 61 }))
        .rejects(409, "exceeds-hold")
        .when("capture-hold", json!({ "hold": "a", "amount": 50 }))
        .then([HoldCaptured { hold: "a".into(), amount: 50 }])
        .replies(json!({ "balance": 50, "held": 40, "available": 10 }))
        .when("capture-hold", json!({ "hold": "a" }))
        .rejects(404, "unknown-hold")
        .when("capture-hold", json!({ "hold": "b" }))
        .replies(json!({ "balance": 10, "held": 0, "available": 10 }));
}

#[test]
fn a_released_hold_is_free_again() {
    given::<Account>([Deposited { amount: 100 }, placed("a", 60)])
        .when("release-hold", json!({ "hold": "a" }))
        .then([HoldReleased { hold: "a".into() }])
        .replies(json!({ "balance": 100, "held": 0, "available": 100 }))
        .when("release-hold", json!({ "hold": "a" }))
        .rejects(404, "unknown-hold");
}

#[test]
fn a_nameless_hold_gets_a_name_by_chance() {
    let name = |seed| {
        let account = with(10).with_seed(seed).when("place-hold", json!({ "amount": 1 }));
        account.reply::<Value>()["hold"].as_str().expect("a name").to_owned()
    };
    assert_eq!(name(1), name(1));
    assert_ne!(name(1), name(2));
    assert_eq!(name(1).len(), 36);
}

#[test]
fn amounts_and_balances_have_bounds() {
    given::<Account>((0..BALANCE_MAX / AMOUNT_MAX).map(|_| Deposited { amount: AMOUNT_MAX }))
        .when("deposit", json!({ "amount": 1 }))
        .rejects(409, "balance-too-high")
        .when("deposit", json!({ "amount": AMOUNT_MAX + 1 }))
        .rejects(422, "amount-out-of-range")
        .when("withdraw", json!({ "amount": 0 }))
        .rejects(422, "amount-out-of-range")
        .when("deposit", json!({ "amount": -1 }))
        .rejects(400, "malformed-body")
        .when("deposit", json!({ "amount": 0.5 }))
        .rejects(400, "malformed-body");
}

#[test]
fn holds_are_bounded() {
    let holds = (0..HOLDS_MAX).map(|number| placed(&number.to_string(), 1));
    given::<Account>(std::iter::once(Deposited { amount: AMOUNT_MAX }).chain(holds))
        .when("place-hold", json!({ "amount": 1 }))
        .rejects(409, "too-many-holds");
    with(1).when("place-hold", json!({ "amount": 1, "hold": "" })).rejects(422, "bad-hold-name");
}

#[test]
fn only_an_empty_account_is_closed() {
    with(1)
        .when("close", ())
        .rejects(409, "not-empty")
        .when("withdraw", json!({ "amount": 1 }))
        .when("close", ())
        .then([Closed])
        .ends(Ending::KeepEvents)
        .when("deposit", json!({ "amount": 2 }))
        .replies(json!({ "balance": 2, "held": 0, "available": 2 }));
}
