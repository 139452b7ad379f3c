//! The SDK carries a copy of the contract, because it must build wherever it is
//! copied to.

/// The contract that this SDK speaks.
const COPY: &str = include_str!("../wit/entity.wit");

#[test]
fn the_copy_is_the_contract() {
    let original = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/entity.wit");
    let original = std::fs::read_to_string(original).expect("the contract");
    assert!(
        original == COPY,
        "guest-sdk/rust/wit/entity.wit differs from wit/entity.wit: copy it there again"
    );
}
