#!/usr/bin/env bash
# Installs what the tests need of the machine and do not find: a C compiler
# (the race detector), Node.js and npm (the playground and other clients), Python
# (a client too), PostgreSQL, and an S3 server, which Go builds. System packages
# come from apt, where there is one.
set -euo pipefail
cd "$(dirname "$0")/../.."

has() { command -v "$1" >/dev/null; }

missing=()
has cc || has gcc || has clang || missing+=(gcc libc6-dev)
has node || missing+=(nodejs)
has npm || missing+=(npm)
has python3 || missing+=(python3)
if [ ${#missing[@]} -gt 0 ]; then
	as_root=()
	[ "$(id -u)" = 0 ] || as_root=(sudo)
	if ! has apt-get || ! has "${as_root[0]:-true}"; then
		echo "Install these first: ${missing[*]}" >&2
		exit 1
	fi
	echo "Installing ${missing[*]}"
	"${as_root[@]}" apt-get update -q
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

# Where internal/testing/pgserver looks too.
has_postgres() {
	local postgres major
	[ -z "${TAGMA_TEST_POSTGRES:-}" ] || return 0
	for postgres in "$(command -v postgres)" /usr/lib/postgresql/*/bin/postgres; do
		[ -x "$postgres" ] || continue
		major=$("$postgres" --version | sed -E 's/.*\(PostgreSQL\) ([0-9]+).*/\1/')
		[ "$major" -lt 14 ] || return 0
	done
	return 1
}

# npm notes what it installed; nothing is to be done while that is newer.
npm_ci() {
	if [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ]; then
		return
	fi
	echo "npm ci in $1"
	npm --prefix "$1" ci --no-progress
}

has_postgres || npm_ci internal/testing/pgserver/node
npm_ci web/playground
npm_ci internal/testing/e2e/clients

# As internal/testing/testenv does, so that no test waits for it. Go keeps what it built.
echo "The S3 server: once, some minutes on a new machine"
(cd internal/tools/s3server && CGO_ENABLED=0 go tool -n versitygw >/dev/null)
