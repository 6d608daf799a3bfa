#!/usr/bin/env bash
# Gives each fuzz target the seconds of its argument. An input that fails is
# written below testdata/fuzz of its package: commit the input with what mends
# the fault, and the tests run it from then on.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:?how many seconds each target gets}
# Only packages that have one: `go test -list` builds and starts the tests.
mapfile -t packages < <(grep -rl --include='*_test.go' '^func Fuzz' graph internal | xargs -n1 dirname | sort -u | sed 's|^|./|')
targets=$(go test -list '^Fuzz' "${packages[@]}" |
  awk '/^Fuzz/ { names[++n] = $1 } /^ok/ { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }')
failed=()
while read -r package target; do
  echo "== fuzz: $package $target"
  # Without a bound on minimizing, an interesting input takes the whole time.
  go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" -fuzzminimizetime 1x "$package" </dev/null ||
    failed+=("$package $target")
done <<<"$targets"
if ((${#failed[@]})); then
  echo "fuzz: these targets failed; the inputs are below testdata/fuzz of their packages:" >&2
  printf '  %s\n' "${failed[@]}" >&2
  exit 1
fi
