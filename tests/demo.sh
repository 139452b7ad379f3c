#!/usr/bin/env bash
# Stead's reason to be, from a fresh clone: a cluster of three nodes on this machine,
# customers who fill carts, the node that runs their carts killed with SIGKILL, and
# what they saw of it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "Building Stead and the sample cart (the first time takes minutes: wasmtime is large)"
rustup target add wasm32-wasip2
cargo build --release -p stead -p stead-tests --bin stead --example demo --locked
(cd samples/cart && cargo build --release --target wasm32-wasip2 --locked)

target=${CARGO_TARGET_DIR:-$PWD/target}/release
component=${CARGO_TARGET_DIR:-$PWD/samples/target}/wasm32-wasip2/release/stead_sample_cart.wasm
data=$(mktemp -d)
export STEAD_BINARY=$target/stead STEAD_UP_DIR=$data
# What is set for another cluster is not meant for this one.
unset STEAD_ADMIN STEAD_INGRESS
up=
# The nodes end with the process that runs them.
trap '[ -z "$up" ] || kill -9 "$up" 2>/dev/null || true; rm -rf "$data"' EXIT

say "Starting three nodes in $data"
"$target/stead" up --nodes 3 --partitions 32 >"$data/up.log" 2>&1 &
up=$!
for _ in $(seq 1200); do
    if grep -qs '"settled": true' "$data/cluster.json"; then break; fi
    kill -0 "$up" 2>/dev/null || { cat "$data/up.log"; exit 1; }
    sleep 0.1
done
grep -qs '"settled": true' "$data/cluster.json" || { cat "$data/up.log"; exit 1; }
"$target/stead" cluster status

say "Deploying the cart"
"$target/stead" deploy "$component" --manifest samples/cart/entity.toml

say "Shopping, and killing the node that runs cart/0 with SIGKILL"
"$target/examples/demo" "$data"
"$target/stead" why cart/0

say "Starting the killed node again"
"$target/stead" chaos restart "$(sed -n 's/^.*  node \([0-9]*\) .* was killed by SIGKILL.*$/\1/p' "$data/up.log" | head -1)"
# It hears within a moment who leads what.
for _ in $(seq 100); do
    if "$target/stead" cluster status --json | grep -q '"leaderless": *0\b'; then break; fi
    sleep 0.2
done
"$target/stead" cluster status

say "Stopping all, one after the other"
kill -TERM "$up"
wait "$up" || { cat "$data/up.log"; exit 1; }
up=
tail -n 4 "$data/up.log"
say "Done."
