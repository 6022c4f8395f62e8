# The targets a contributor needs; CONTRIBUTING.md says when.
# Everything real is in scripts/, so that it runs without make as well.

.PHONY: build check test bench microbench fuzz demo cross clean
.DEFAULT_GOAL := build

# Release binaries are static.
GOBUILD = CGO_ENABLED=0 go build -trimpath

build:          ## bin/mosn
	$(GOBUILD) -o bin/ ./cmd/...

check:          ## under a minute: format, vet, lint, the architecture, unit tests
	scripts/lint.sh
	go test ./sdk/... ./mosn/... ./cmd/... ./examples/... ./test/arch ./test/skipcheck

test:           ## everything CI runs; SOFAMESH_LONG=1 adds soak and fuzz
	scripts/test.sh

bench: build    ## the proxies side by side; BENCH="-quick" or other flags of test/bench
	go run ./test/bench $(BENCH)

microbench:     ## ns and allocations of the hot functions
	go test -run '^$$' -bench . -benchmem ./sdk/... ./mosn/...

fuzz:           ## each fuzz target for FUZZTIME (default 30s)
	scripts/fuzz.sh $(or $(FUZZTIME),30s)

demo: build     ## mosn in front of two backends: shows requests through it, and stops
	scripts/need.sh curl
	examples/quickstart/run.sh bin/mosn

cross:          ## builds for the other systems, tests included, nothing kept
	GOOS=linux GOARCH=arm64 $(GOBUILD) -o /dev/null ./cmd/...
	GOOS=linux GOARCH=arm64 go vet ./...
	GOOS=darwin GOARCH=arm64 $(GOBUILD) -o /dev/null ./cmd/...
	GOOS=darwin GOARCH=arm64 go vet ./sdk/... ./mosn/... ./cmd/...

clean:
	rm -rf bin out
