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

step "tools"
rustup target add wasm32-wasip2 wasm32-wasip1
if ! cargo component --version >/dev/null 2>&1; then
    # A debug build of the tool, without what a debugger reads: half the time to install,
    # as fast in use.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-component --version 0.21.1 --locked --debug
fi
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

step "deploy/"
bash tests/manifests.sh

step "lints"
cargo clippy --release --workspace --all-targets --locked -- --deny warnings
(cd samples && cargo clippy --release --workspace --all-targets --locked -- --deny warnings)

step "documentation"
RUSTDOCFLAGS="--deny warnings" cargo doc --release --workspace --no-deps --locked

# Simulation computes all the time, the other tests wait for most of theirs: it takes what
# they leave. A seeded tokio needs a flag, and so a target directory of its own.
simulation() (
    export RUSTFLAGS="--cfg tokio_unstable" CARGO_TARGET_DIR=target/simulation
    cargo clippy --release -p stead-simulation --all-targets --locked -- --deny warnings
    cargo test --release -p stead-simulation --locked
)

step "tests"
# The programs are built on the way; built alone before, their dependencies would be
# built twice, as the tests ask for other features of a few. Examples are left to the
# lints.
cargo test --release --workspace --lib --bins --tests --locked --no-run
mkdir -p target/simulation
export -f simulation
set -m # in a process group of its own, so that all of it can be stopped
nice -n 19 bash -ec simulation >target/simulation/log 2>&1 &
simulating=$!
set +m
trap 'kill -- "-$simulating" 2>/dev/null || true' EXIT
cargo test --release --workspace --lib --bins --tests --locked
cargo test --release --workspace --doc --locked

step "simulation"
# It may have a while to go: no longer at the end of the queue.
renice -n 0 -g "$simulating" >/dev/null 2>&1 || true
wait "$simulating" || { cat target/simulation/log; exit 1; }
tail -n 60 target/simulation/log
trap - EXIT

step "tests of the samples, native"
(cd samples && cargo test --locked)

step "done"
