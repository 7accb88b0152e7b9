# Everything a developer runs. `make` alone prints this list.
.DEFAULT_GOAL := help
.PHONY: help run demo setup test torture fuzz check fmt generate bench bench-quick bench-table screenshots

ROOMS := cmd internal static templates web

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start the program on http://127.0.0.1:8080, its data in ./data
	go run ./cmd/mailroom

demo: ## start the program inside the pretend world; needs nothing but Go
	go run ./cmd/demo

setup: ## install what the tests need and this machine lacks (Debian; asks sudo if not root)
	@tools/setup.sh

# Ten minutes are too few for the browser tests on a busy machine of two cores.
test: setup ## install what is lacking, then run every test with the race detector
	go test -race -timeout 30m ./...

# TORTURE=N for another number of kills and 5 N faults, TORTURE_SEED=N for the same instants again.
torture: setup ## kill the syncing program 200 times on each engine, spoil its connections 1,000 times (an hour)
	TORTURE=$${TORTURE:-200} go test -race -run '^(TestKilledAtAnyInstant|TestFaultsOnTheWire)' -count 1 -timeout 3h -v ./internal/app

# FUZZTIME=1h for longer. What is found becomes a file under testdata/fuzz, to be committed with its mending.
FUZZTIME ?= 10m
fuzz: ## run every fuzz target, one after the other, for ten minutes each
	@grep -rl --include='*_test.go' '^func Fuzz' internal | xargs -n 1 dirname | sort -u | while read -r room; do \
		for target in $$(grep -h -o '^func Fuzz[A-Za-z0-9]*' $$room/*_test.go | cut -c 6-); do \
			echo "$$room $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$room || exit 1; \
		done; \
	done

check: ## format, vet, staticcheck, generated files, floors; needs nothing but Go
	@unformatted=$$(gofmt -l $(ROOMS)); [ -z "$$unformatted" ] || { echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	@tools/fresh.sh
	go test -race ./internal/arch

fmt: ## format Go and templ files
	gofmt -w $(ROOMS)
	go tool templ fmt -log-level error .

generate: ## write the *_templ.go files anew
	go tool templ generate -path templates -log-level error

# BENCH_JSON=FILE writes the results there as well, BENCH_PROFILE=DIR keeps CPU profiles,
# BENCH_SIZES=messages=500,rounds=1 sets single sizes, ROWS='FirstSync|Check' takes some rows.
ROWS ?= .
BENCH_RUN = $(if $(BENCH_JSON),BENCH_JSON=$(abspath $(BENCH_JSON))) $(if $(BENCH_PROFILE),BENCH_PROFILE=$(abspath $(BENCH_PROFILE))) \
	go test -run '^$$' -bench '$(ROWS)' -benchtime 1x -count 1

bench: ## measure Mailroom beside its peers, in full (some hours)
	@tools/setup.sh bench
	BENCH=full $(BENCH_RUN) -timeout 6h ./internal/bench

bench-quick: ## a sample of the same, in under two minutes
	@tools/setup.sh bench
	BENCH=quick $(BENCH_RUN) -timeout 10m ./internal/bench

bench-table: ## put the results of BENCH_JSON=FILE into docs/benchmarks.md
	BENCH_JSON=$(abspath $(BENCH_JSON)) BENCH_TABLE=$(CURDIR)/docs/benchmarks.md go test -run '^TestWriteTable$$' -count 1 ./internal/bench

screenshots: setup ## take pictures of every page into ./docs/pictures
	SCREENSHOTS=$(CURDIR)/docs/pictures go test -run '^TestScreenshots' -count 1 -timeout 10m ./internal/app
