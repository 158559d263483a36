#!/usr/bin/env bash
# Sets up what the Makefile's targets need, in two steps. After both, nothing downloads any more.
#
#   scripts/setup.sh environment   system packages, the virtual environment, what the page is built with
#   scripts/setup.sh build         the native parts and the page, from what is here; also after their sources changed
#
# VENV    the virtual environment to make or use (default .venv)
# PYTHON  the Python to make it with (default python3)
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
PYTHON=${PYTHON:-python3}
WEB=demo_app/web
INTEROP=tests/interop
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
export PYTHONWARNINGS=ignore # setuptools warns of every editable installation with several roots

say() { printf 'setup: %s\n' "$*" >&2; }

missing_packages() {
    command -v chromium >/dev/null || echo chromium
    command -v ip >/dev/null || echo iproute2
    command -v nft >/dev/null || echo nftables
    command -v unshare >/dev/null || echo util-linux
    command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || echo postgresql
    command -v Xvfb >/dev/null || echo xvfb
    command -v objdump >/dev/null || echo binutils
    "$PYTHON" -c 'import tkinter' 2>/dev/null || echo python3-tk
    fc-list 2>/dev/null | grep -qi emoji || echo fonts-noto-color-emoji
    missing_libraries
}

# What Qt loads from the system, and the packages that bring it; what those need comes with them.
missing_libraries() {
    local known library package
    known=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null) || return 0
    while read -r library package; do
        grep -q "$library" <<<"$known" || echo "$package"
    done <<'LIBRARIES'
libEGL.so.1 libegl1
libGL.so.1 libgl1
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-xkb.so.1 libxcb-xkb1
LIBRARIES
}

system_packages() {
    local wanted
    mapfile -t wanted < <(missing_packages)
    [ ${#wanted[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
        say "some tests need what is not here, and only root with apt can install it by itself: ${wanted[*]}"
        return 0
    fi
    say "installing ${wanted[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

python_packages() {
    if [ ! -x "$VENV/bin/python" ]; then
        say "making the virtual environment $VENV"
        "$PYTHON" -m venv "$VENV"
    fi
    say "installing what building and testing need"
    "$VENV/bin/python" -m pip install --quiet "pip>=25.1"
    "$VENV/bin/python" -m pip install --quiet --group dev
}

page_packages() {
    [ -f "$WEB/package-lock.json" ] || return 0
    if ! command -v npm >/dev/null; then
        say "npm is not here: the notes page is not built"
        return 0
    fi
    say "installing what the notes page is built with"
    npm --prefix "$WEB" ci --silent --prefer-offline --no-audit --no-fund
}

interop_packages() {
    [ -f "$INTEROP/package-lock.json" ] || return 0
    if ! command -v npm >/dev/null; then
        say "npm is not here: the tests against Automerge for JavaScript will be skipped, which in CI is a failure"
        return 0
    fi
    say "installing Automerge for JavaScript, which the tests compare with"
    npm --prefix "$INTEROP" ci --silent --prefer-offline --no-audit --no-fund
}

environment() {
    system_packages
    python_packages
    page_packages
    interop_packages
    say "building lichen (the native parts take some minutes the first time)"
    "$VENV/bin/python" -m pip install --quiet --no-build-isolation --editable '.[all]'
}

build() {
    say "building lichen again, from changed sources"
    "$VENV/bin/python" -m pip install --quiet --no-build-isolation --no-deps --no-index --editable .
}

case "${1:-}" in
    environment) environment ;;
    build) build ;;
    *) echo "usage: scripts/setup.sh environment|build" >&2; exit 2 ;;
esac
say "done"
