#!/usr/bin/env bash
# Runs each fuzz target for a while: fuzz.sh [time for each] [packages]
# A crash leaves its input in testdata/fuzz of the package: commit it with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-30s}
shift || true
[ $# -gt 0 ] || set -- ./...

status=0
for package in $(go list "$@"); do
	targets=$(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true)
	for target in $targets; do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" </dev/null || status=1
	done
done
exit $status
