#!/usr/bin/env bash
# Sets up everything that the Makefile's targets need. After it, nothing downloads any more.
#
# VENV    the virtual environment to make or use (default .venv)
# PYTHON  the Python to make it with (default python3)
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
PYTHON=${PYTHON:-python3}

say() { printf 'setup: %s\n' "$*"; }

system_packages() {
    command -v apt-get >/dev/null || return 0
    local wanted=() package
    command -v chromium >/dev/null || wanted+=(chromium)
    command -v ip >/dev/null || wanted+=(iproute2)
    command -v nft >/dev/null || wanted+=(nftables)
    command -v unshare >/dev/null || wanted+=(util-linux)
    fc-list 2>/dev/null | grep -qi emoji || wanted+=(fonts-noto-color-emoji)
    [ ${#wanted[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "not root: some tests need these packages, install them yourself: ${wanted[*]}"
        return 0
    fi
    say "installing ${wanted[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

export PIP_DISABLE_PIP_VERSION_CHECK=1

environment() {
    if [ ! -x "$VENV/bin/python" ]; then
        say "making the virtual environment $VENV"
        "$PYTHON" -m venv "$VENV"
    fi
    "$VENV/bin/python" -m pip install --quiet --upgrade "pip>=25.1"
    say "installing what building and testing need"
    "$VENV/bin/python" -m pip install --quiet --group dev
    say "building lichen (the first time, the native parts take some minutes)"
    "$VENV/bin/python" -m pip install --quiet --no-build-isolation --editable '.[all]'
}

system_packages
environment
say "done"
