#!/usr/bin/env bash
# Format, vet and lint, in the build variants that we have. The linter's version
# is pinned in tools/go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

badly=$(gofmt -l .)
if [ -n "$badly" ]; then
	printf 'not gofmt-ed (gofmt -w repairs):\n%s\n' "$badly" >&2
	exit 1
fi
go vet ./...
go vet -tags invariants ./sdk/... ./mosn/...
go tool -modfile=tools/go.mod staticcheck ./...
