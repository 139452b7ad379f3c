#!/usr/bin/env bash
# Everything that must hold of a change: format, lints, documentation, tests.
# Installs what it needs beside Rust: two compilation targets, cargo-component
# once (about ten minutes on two cores), Python packages to check deploy/, and
# Debian's packages for network namespaces. Those take root, and so do the tests of
# cut networks; STEAD_NO_NAMESPACES=1 goes without.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

# What takes long and nobody waits for goes on beside the rest: `begin NAME NICENESS
# FUNCTION` starts it in a process group of its own, so that all of it can be stopped,
# and `finish NAME` waits for it and shows what it said.
declare -A beside=()
mkdir -p target
begin() {
    export -f "${3?}"
    set -m
    nice -n "$2" bash -ec "$3" >"target/$1.log" 2>&1 &
    beside[$1]=$!
    set +m
}
finish() {
    # It may have a while to go: no longer at the end of the queue.
    renice -n 0 -g "${beside[$1]}" >/dev/null 2>&1 || true
    wait "${beside[$1]}" || { cat "target/$1.log"; exit 1; }
    unset "beside[$1]"
    tail -n "$2" "target/$1.log"
}
stop_all() { for group in "${beside[@]}"; do kill -- "-$group" 2>/dev/null || true; done; }
trap stop_all EXIT

# A debug build of the tool, without what a debugger reads: half the time to install, as
# fast in use.
cargo_component() {
    cargo component --version 2>/dev/null ||
        CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-component --version 0.21.1 --locked --debug
}

# Simulation computes all the time, the others wait for much of theirs: it takes what they
# leave. A seeded tokio needs a flag, and so a target directory of its own.
simulation() {
    export RUSTFLAGS="--cfg tokio_unstable" CARGO_TARGET_DIR=target/simulation
    cargo clippy --release -p stead-simulation --all-targets --locked -- --deny warnings
    cargo test --release -p stead-simulation --locked
}

step "tools"
rustup target add wasm32-wasip2 wasm32-wasip1
begin cargo-component 0 cargo_component
has() { for program; do command -v "$program" >/dev/null || return 1; done; }
if [ "${STEAD_NO_NAMESPACES:-0}" != 1 ] && ! has ip nft dnsmasq; then
    # What tests cut networks with, and the name server that they ask.
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        iproute2 nftables dnsmasq-base
fi

step "format"
cargo fmt --all --check
(cd samples && cargo fmt --all --check)
(cd tests/guests && cargo fmt --all --check)

begin simulation 19 simulation

step "deploy/"
bash tests/manifests.sh

step "lints"
cargo clippy --release --workspace --all-targets --locked -- --deny warnings
(cd samples && cargo clippy --release --workspace --all-targets --locked -- --deny warnings)

step "documentation"
RUSTDOCFLAGS="--deny warnings" cargo doc --release --workspace --no-deps --locked

step "tests"
# The programs are built on the way; built alone before, their dependencies would be
# built twice, as the tests ask for other features of a few. Examples are left to the
# lints.
cargo test --release --workspace --lib --bins --tests --locked --no-run
finish cargo-component 1
cargo test --release --workspace --lib --bins --tests --locked
cargo test --release --workspace --doc --locked

step "simulation"
finish simulation 60

step "tests of the samples, native"
(cd samples && cargo test --locked)

step "done"
