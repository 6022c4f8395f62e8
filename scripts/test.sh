#!/usr/bin/env bash
# Everything that CI runs, in the order in which it fails soonest. Each step is
# one line of "steps"; SOFAMESH_LONG=1 adds the long ones. The first failing
# step does not hide the others: all run, then the script fails.
set -euo pipefail
cd "$(dirname "$0")/.."

# What ships, tested under every variant. The rest of test/ has steps of its own.
unit=(./sdk/... ./mosn/... ./cmd/... ./examples/...)
# Needs real peers, or the machine for itself.
own_step='/test/(interop|script|bench|sim)(/|$)'

mkdir -p out
tally=$PWD/out/tally
rm -f "$tally"
failed=()

# step name command...: runs it under a heading and takes its time.
step() {
	local name=$1 start=$SECONDS
	shift
	printf '\n== %s\n' "$name"
	if "$@" </dev/null; then
		printf '== %s: done in %d s\n' "$name" $((SECONDS - start))
	else
		printf '== %s: FAIL after %d s\n' "$name" $((SECONDS - start))
		failed+=("$name")
	fi
}

# gotest arguments...: go test, with skips checked and counts added up.
gotest() { out/skipcheck -tally "$tally" -- "$@"; }

# packages pattern...: those of the patterns that exist.
packages() { go list -e -find "$@" 2>/dev/null | grep -v '^command-line-arguments$' || true; }

install_peers() {
	scripts/need.sh gcc curl make || return 1
	local script
	while IFS= read -r script; do
		echo "$script"
		"$script" || return 1
	done < <(find test -name install.sh | sort)
}

rest_of_test() { gotest $(packages ./test/... | grep -Ev "$own_step"); }
race() { gotest -race -timeout 15m "${unit[@]}"; }
invariants() { gotest -tags invariants -timeout 15m "${unit[@]}"; }
script() { gotest -timeout 10m ./test/script/...; }
interop() { gotest -timeout 20m -p 1 ./test/interop/...; }
bench_tools() { gotest -timeout 5m ./test/bench/...; }
demo() { examples/quickstart/run.sh bin/mosn; }
soak() { gotest -timeout 60m -tags soak ./test/...; }
fuzz() { scripts/fuzz.sh "${FUZZTIME:-5m}"; }

go build -o out/skipcheck ./test/skipcheck
step 'install what the tests need' install_peers
step 'format, vet, lint' scripts/lint.sh
step 'build' make --no-print-directory build
step 'cross builds' make --no-print-directory cross
step 'architecture and tools' rest_of_test
step 'unit tests with the race detector' race
step 'unit tests with invariants' invariants
step 'the binary, by script' script
step 'real peers' interop
step 'the bench, itself tested' bench_tools
step 'the quickstart' demo
if [ "${SOFAMESH_LONG:-}" = 1 ]; then
	step 'soak' soak
	step 'fuzz' fuzz
fi

printf '\n== summary, after %d s\n' "$SECONDS"
out/skipcheck -tally "$tally"
if [ ${#failed[@]} -gt 0 ]; then
	printf 'FAIL: %s\n' "${failed[@]}"
	exit 1
fi
echo ok
