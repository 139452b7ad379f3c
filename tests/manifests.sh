#!/usr/bin/env bash
# Checks deploy/ without a cluster: the Kubernetes manifests against the schemas of
# Kubernetes, strictly, and against the program; the Dockerfile; the systemd unit.
# Installs what it needs into target/; needs python3 with venv (on Debian, as root,
# it installs that too).
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'tests/manifests.sh: %s\n' "$1" >&2; exit 1; }

has_python() { python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
if ! has_python && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -q && apt-get install -qy --no-install-recommends python3 python3-venv; } >&2 ||
        fail 'python3-venv could not be installed; see above'
fi
has_python || fail 'python3 from 3.11 on, with venv, is needed: apt-get install python3-venv'

# One environment for each set of tools, on each Python, made whole or not at all.
wanted=$({ cat deploy/check/requirements.txt; python3 --version; } | sha256sum | cut -c1-12)
tools="$PWD/target/manifests/$wanted"
if [ ! -e "$tools/complete" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools" || fail "no environment could be made in $tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --requirement deploy/check/requirements.txt >&2 ||
        fail 'deploy/check/requirements.txt could not be installed; is there a network?'
    touch "$tools/complete"
fi
PYTHONDONTWRITEBYTECODE=1 exec "$tools/bin/python" deploy/check
