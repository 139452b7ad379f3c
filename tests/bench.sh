#!/usr/bin/env bash
# Measures what BENCHMARKS.md tells of: everything, or what is named.
#
#     bash tests/bench.sh                      all, about seven minutes after the build
#     bash tests/bench.sh --quick              the same in short, about three
#     bash tests/bench.sh guest log hot-entity  some
#
# Names: guest, log, apply, ingress, one-client, many-clients, hot-entity,
# replay, memory, recovery, cluster.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=()
whole_node=()
parts=()
for argument in "$@"; do
    case $argument in
        --quick) quick=(--quick) ;;
        guest | log | apply | ingress) parts+=("$argument") ;;
        *) whole_node+=("$argument") ;;
    esac
done
all=
if [[ ${#parts[@]} -eq 0 && ${#whole_node[@]} -eq 0 ]]; then
    all=yes
    parts=(guest log apply ingress)
fi

rustup target add wasm32-wasip2 2>/dev/null
cargo build --release --locked --package stead --bins
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

example() { cargo run --release --locked --quiet --package "$1" --example "$2" -- "${@:3}"; }

for part in ${parts[@]+"${parts[@]}"}; do
    printf '\n== %s\n' "$part"
    case $part in
        guest) example stead-sandbox guest_cost ;;
        log) mkdir "$scratch/log" && example stead-journal log_latency "$scratch/log" 500 ;;
        apply) example stead-journal throughput "$scratch/apply" 200000 ;;
        ingress) example stead-ingress overhead ;;
    esac
done
if [[ -n $all || ${#whole_node[@]} -gt 0 ]]; then
    printf '\n== whole node\n'
    example stead-tests bench ${quick[@]+"${quick[@]}"} ${whole_node[@]+"${whole_node[@]}"}
fi
