//! The contract as Rust: generated from `wit/entity.wit`.
//!
//! The generated code has `unsafe` of its own, which wasmtime answers for.
#![allow(missing_docs, unsafe_code, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "stead:entity/entity-type",
    imports: { default: trappable },
    // What goes in is lowered straight from the host's slices, without copies.
    ownership: Borrowing { duplicate_if_necessary: true },
});
