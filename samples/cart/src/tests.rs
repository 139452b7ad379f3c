//! Given these events, when this command, then these events and this reply.

use serde_json::json;
use stead_sdk::{Ending, test::given};

use crate::{Cart, CartEvent, LINES_MAX, QUANTITY_MAX, UNIT_PRICE_MAX};

fn added(sku: &str, quantity: u32) -> CartEvent {
    CartEvent::ItemAdded { sku: sku.into(), quantity, unit_price: 350 }
}

#[test]
fn items_add_up() {
    given::<Cart>([added("tea", 1)])
        .when("add-item", json!({ "sku": "tea", "quantity": 2, "unit_price": 350 }))
        .then([added("tea", 2)])
        .replies(json!({
            "lines": { "tea": { "quantity": 3, "unit_price": 350 } },
            "total": 1050,
            "checked_out": false,
        }))
        .when("add-item", json!({ "sku": "cup", "unit_price": 900 }))
        .query("contents", ())
        .state(|cart| assert_eq!(cart.contents().total, 1950));
}

#[test]
fn what_is_taken_out_is_gone() {
    given::<Cart>([added("tea", 3), added("cup", 1)])
        .when("remove-item", json!({ "sku": "tea", "quantity": 1 }))
        .then([CartEvent::ItemRemoved { sku: "tea".into(), quantity: 1 }])
        .when("remove-item", json!({ "sku": "tea" }))
        .then([CartEvent::ItemRemoved { sku: "tea".into(), quantity: 2 }])
        .state(|cart| assert_eq!(cart.lines.keys().collect::<Vec<_>>(), ["cup"]))
        .when("remove-item", json!({ "sku": "tea" }))
        .rejects(404, "unknown-item")
        .when("remove-item", json!({ "sku": "cup", "quantity": 2 }))
        .rejects(422, "quantity-out-of-range");
}

#[test]
fn a_cart_that_is_checked_out_stays_as_it_is() {
    let cart = given::<Cart>([added("tea", 1)])
        .at_ms(1_000)
        .when("check-out", ())
        .then([CartEvent::CheckedOut { at_ms: 1_000 }]);
    let add = json!({ "sku": "tea", "unit_price": 1 });
    let cart = cart.when("add-item", add).rejects(409, "already-checked-out");
    ["check-out", "discard"]
        .into_iter()
        .fold(cart, |cart, command| cart.when(command, ()).rejects(409, "already-checked-out"));
}

#[test]
fn nothing_can_not_be_bought() {
    given::<Cart>([]).when("check-out", ()).rejects(409, "empty");
}

#[test]
fn quantities_and_prices_have_bounds() {
    given::<Cart>([added("tea", QUANTITY_MAX)])
        .when("add-item", json!({ "sku": "tea", "unit_price": 1 }))
        .rejects(422, "quantity-out-of-range")
        .when("add-item", json!({ "sku": "tea", "quantity": u32::MAX, "unit_price": 1 }))
        .rejects(422, "quantity-out-of-range")
        .when("add-item", json!({ "sku": "cup", "quantity": 0, "unit_price": 1 }))
        .rejects(422, "quantity-out-of-range")
        .when("add-item", json!({ "sku": "cup", "unit_price": UNIT_PRICE_MAX + 1 }))
        .rejects(422, "implausible-item")
        .when("add-item", json!({ "sku": " ", "unit_price": 1 }))
        .rejects(422, "implausible-item");
}

#[test]
fn a_cart_is_bounded() {
    given::<Cart>((0..LINES_MAX).map(|number| added(&number.to_string(), 1)))
        .when("add-item", json!({ "sku": "one more", "unit_price": 1 }))
        .rejects(422, "too-many-lines")
        .when("add-item", json!({ "sku": "0", "unit_price": 350 }))
        .then([added("0", 1)]);
}

#[test]
fn a_discarded_cart_begins_anew() {
    given::<Cart>([added("tea", 1)])
        .when("discard", ())
        .then_nothing()
        .ends(Ending::PurgeEvents)
        .query("contents", ())
        .replies(json!({ "lines": {}, "total": 0, "checked_out": false }));
}

#[test]
fn a_malformed_body_is_told_where_it_is_wrong() {
    let cart = given::<Cart>([]).when("add-item", json!({ "sku": "tea", "unit_price": -1 }));
    let rejection = cart.rejection();
    assert_eq!((rejection.status(), rejection.code()), (400, "malformed-body"));
    assert!(rejection.message().contains("unit_price: invalid value"), "{rejection:?}");
}
