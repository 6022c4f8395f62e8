#!/usr/bin/env bash
# Starts two backends and the proxy in front of them, shows requests through it
# and its access log, and stops all of it. Usage: run.sh [proxy binary]
# Any proxy that speaks Envoy's bootstrap and command line will do.
set -euo pipefail
cd "$(dirname "$0")/../.."

proxy=${1:-bin/mosn}
dir=$(mktemp -d)
pids=()
stop() {
	local code=$?
	kill "${pids[@]}" 2>/dev/null || true
	wait "${pids[@]}" 2>/dev/null || true
	if [ "$code" -ne 0 ] && [ -s "$dir/proxy.log" ]; then
		echo "the proxy's log:" >&2
		cat "$dir/proxy.log" >&2
	fi
	rm -rf "$dir"
	exit "$code"
}
trap stop EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# ready URL: waits until it answers 200, at most 10 s.
ready() {
	for _ in $(seq 100); do
		[ "$(curl -s -o /dev/null -m 1 -w '%{http_code}' "$1")" = 200 ] && return
		sleep 0.1
	done
	echo "$1 does not answer" >&2
	return 1
}

CGO_ENABLED=0 go build -o "$dir/backend" ./examples/quickstart/backend
"$dir/backend" -listen 127.0.0.1:18081 -name one & pids+=($!)
"$dir/backend" -listen 127.0.0.1:18082 -name two & pids+=($!)
"$proxy" -c examples/quickstart/envoy.yaml --concurrency 1 --drain-time-s 1 >"$dir/access.log" 2>"$dir/proxy.log" & pids+=($!)
ready http://127.0.0.1:18081/
ready http://127.0.0.1:18082/
ready http://127.0.0.1:19901/ready

for pid in "${pids[@]}"; do
	kill -0 "$pid" 2>/dev/null || { echo "a program ended at once: is one of the ports 18080-18082 and 19901 taken?" >&2; exit 1; }
done

say '$ curl http://127.0.0.1:18080/hello'
curl -sS -i -m 5 http://127.0.0.1:18080/hello
say '$ curl http://127.0.0.1:18080/hello   # the other backend'
curl -sS -m 5 http://127.0.0.1:18080/hello | head -1
say '$ curl http://127.0.0.1:18080/hi      # answered by the proxy'
curl -sS -m 5 http://127.0.0.1:18080/hi

# The proxy writes its access log on its way out at the latest.
kill -TERM "${pids[2]}"
wait "${pids[2]}" || true
say 'The access log'
cat "$dir/access.log"
[ "$(grep -c '" 200 ' "$dir/access.log")" = 3 ] || { echo "want 3 lines" >&2; exit 1; }
