#!/usr/bin/env bash
# The whole of Stead on one node, from a fresh clone: build, start, deploy, call,
# kill, start again, and find everything as it was.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

say "Building Stead and the sample cart (the first time takes minutes: wasmtime is large)"
rustup target add wasm32-wasip2
cargo build --release -p stead --locked
(cd samples/cart && cargo build --release --target wasm32-wasip2 --locked)

stead=${CARGO_TARGET_DIR:-$PWD/target}/release/stead
component=${CARGO_TARGET_DIR:-$PWD/samples/target}/wasm32-wasip2/release/stead_sample_cart.wasm
data=$(mktemp -d)
ingress=127.0.0.1:18080
admin=127.0.0.1:18081
export STEAD_ADMIN=http://$admin STEAD_INGRESS=http://$ingress
node=
trap '[ -z "$node" ] || kill -9 "$node" 2>/dev/null || true; rm -rf "$data"' EXIT

start_node() {
    "$stead" node --data "$data" --ingress-listen $ingress --admin-listen $admin \
        >>"$data/node.log" 2>&1 &
    node=$!
    for _ in $(seq 600); do
        if "$stead" status >/dev/null 2>&1; then return; fi
        kill -0 "$node" 2>/dev/null || { cat "$data/node.log"; exit 1; }
        sleep 0.1
    done
    echo "the node is not ready after a minute"
    exit 1
}

say "Starting a node on $data"
start_node
"$stead" status

say "Deploying the cart"
"$stead" deploy "$component" --manifest samples/cart/entity.toml

say "Shopping"
"$stead" call cart/42 add-item '{"sku": "tea", "quantity": 2, "unit_price": 350}'
"$stead" call cart/42 add-item '{"sku": "cup", "quantity": 4, "unit_price": 1200}'
"$stead" call cart/42 remove-item '{"sku": "cup", "quantity": 1}'
before=$("$stead" query cart/42 contents --json)
history=$("$stead" events cart/42 --json)
echo "$before"

say "Killing the node with SIGKILL"
kill -9 "$node"
wait "$node" 2>/dev/null || true

say "Starting it again"
start_node
"$stead" status
say "The cart and its history"
after=$("$stead" query cart/42 contents --json)
"$stead" query cart/42 contents
"$stead" events cart/42
[ "$before" = "$after" ] || { echo "the state differs from before the crash"; exit 1; }
[ "$history" = "$("$stead" events cart/42 --json)" ] || { echo "the history differs"; exit 1; }

say "Nothing was lost. The node goes on:"
"$stead" call cart/42 check-out
kill -TERM "$node"
wait "$node"
node=
say "Done."
