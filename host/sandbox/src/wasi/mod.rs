//! WASI 0.2 for guests: everything links, nothing is granted.
//!
//! A component that a language's tools built imports most of WASI whether it
//! uses it or not, so all of `wasi:cli/imports` is here. What stands behind it:
//!
//! | interface | what a guest gets |
//! |---|---|
//! | stdout, stderr | lines of the node's log |
//! | stdin, arguments, environment | empty |
//! | files, sockets, name lookup | nothing to open: the error of the interface |
//! | wall clock, monotonic clock | the time of the call, while a command or query is handled |
//! | random | as the clocks |
//! | insecure-seed | always the same |
//! | waiting of any kind, exit | a trap that says what to do instead |
//!
//! **Time stands still during a call**, on every clock, as the contract says of
//! `now`. Whoever spins until a clock moves meets the deadline.
//!
//! **Hash maps.** Rust's `HashMap` wants a random seed when the first one is
//! made, which may be while events are folded. For `wasm32-wasip2` the standard
//! library asks `insecure-seed`, which is there for this and gives a fixed value.
//! For `wasm32-wasip1` (`cargo component build`) it asks the same function that
//! secrets come from, once in an instance's life, for 16 bytes. To refuse it
//! would forbid hash maps; to answer all such requests would let an `apply`
//! take "random" decisions that replay differently from how they were handled,
//! and would hand out secrets that anyone can know. So a component that does
//! not import `insecure-seed` gets the fixed seed for its instance's *first*
//! request, if that is for 16 bytes and comes while folding; every other
//! request while folding is refused. While a command is handled the answer is
//! always truly random. A fixed seed is not a fixed order: the order of a
//! `HashMap` depends on its history and must not show in events or snapshots;
//! the audit of snapshots finds it if it does.

mod clocks;
mod nothing;
mod random;
mod streams;

pub(crate) use clocks::TIME_INSTEAD;
pub(crate) use random::{RANDOM_BYTES_MAX, RANDOM_INSTEAD};

use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::{
    filesystem::{WasiFilesystem, WasiFilesystemCtxView},
    p2::bindings::{self, cli, clocks as wasi_clocks, io, random as wasi_random},
    sockets::{WasiSockets, WasiSocketsCtxView},
};

use crate::state::GuestState;

type Own = HasSelf<GuestState>;

/// Adds all of it to a linker.
pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let l = linker;
    cli::environment::add_to_linker::<_, Own>(l, own)?;
    cli::exit::add_to_linker::<_, Own>(l, own)?;
    cli::stdin::add_to_linker::<_, Own>(l, own)?;
    cli::stdout::add_to_linker::<_, Own>(l, own)?;
    cli::stderr::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_input::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_output::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_stdin::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_stdout::add_to_linker::<_, Own>(l, own)?;
    cli::terminal_stderr::add_to_linker::<_, Own>(l, own)?;
    io::error::add_to_linker::<_, Own>(l, own)?;
    bindings::sync::io::poll::add_to_linker::<_, Own>(l, own)?;
    bindings::sync::io::streams::add_to_linker::<_, Own>(l, own)?;
    wasi_clocks::wall_clock::add_to_linker::<_, Own>(l, own)?;
    wasi_clocks::monotonic_clock::add_to_linker::<_, Own>(l, own)?;
    wasi_random::random::add_to_linker::<_, Own>(l, own)?;
    wasi_random::insecure::add_to_linker::<_, Own>(l, own)?;
    wasi_random::insecure_seed::add_to_linker::<_, Own>(l, own)?;
    add_files_and_sockets(l)
}

/// These are wasmtime's own, with nothing opened to them. No descriptor and no
/// socket can come into being, so none of their methods that could block the
/// thread can be reached.
fn add_files_and_sockets(l: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    use bindings::{
        filesystem::preopens,
        sockets::{instance_network, ip_name_lookup, network, tcp_create_socket},
        sync::{
            filesystem::types,
            sockets::{tcp, udp, udp_create_socket},
        },
    };
    preopens::add_to_linker::<_, WasiFilesystem>(l, files)?;
    types::add_to_linker::<_, WasiFilesystem>(l, files)?;
    instance_network::add_to_linker::<_, WasiSockets>(l, sockets)?;
    network::add_to_linker::<_, WasiSockets>(l, &network::LinkOptions::default(), sockets)?;
    ip_name_lookup::add_to_linker::<_, WasiSockets>(l, sockets)?;
    tcp_create_socket::add_to_linker::<_, WasiSockets>(l, sockets)?;
    tcp::add_to_linker::<_, WasiSockets>(l, sockets)?;
    udp_create_socket::add_to_linker::<_, WasiSockets>(l, sockets)?;
    udp::add_to_linker::<_, WasiSockets>(l, sockets)
}

fn own(state: &mut GuestState) -> &mut GuestState {
    state
}

fn files(state: &mut GuestState) -> WasiFilesystemCtxView<'_> {
    WasiFilesystemCtxView { ctx: &mut state.files, table: &mut state.table }
}

fn sockets(state: &mut GuestState) -> WasiSocketsCtxView<'_> {
    WasiSocketsCtxView { ctx: &mut state.sockets, table: &mut state.table }
}
