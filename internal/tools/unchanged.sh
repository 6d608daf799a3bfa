#!/usr/bin/env bash
# Runs a command, and fails if that changed any file of the checkout, a new or
# a deleted one included. What was not committed before is no matter: the two
# states are compared as git trees, written through an index and into an object
# store of their own.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"

aside=$(mktemp -d)
trap 'rm -rf "$aside"' EXIT
mkdir "$aside/objects"
objects=$(git rev-parse --path-format=absolute --git-path objects)

apart() {
	GIT_INDEX_FILE=$aside/index GIT_OBJECT_DIRECTORY=$aside/objects \
		GIT_ALTERNATE_OBJECT_DIRECTORIES=$objects git "$@"
}
state() {
	apart add --all
	apart write-tree
}

before=$(state)
"$@"
after=$(state)
if [ "$before" != "$after" ]; then
	echo "Changed by: $*. Commit what it wrote:" >&2
	apart --no-pager diff --stat "$before" "$after" >&2
	exit 1
fi
