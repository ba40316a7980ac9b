# A bare `make` prints what there is.

GO      ?= go
BIN     := $(CURDIR)/bin
SEEDS   ?= 1000
OPS     ?= 500
FUZZTIME ?= 10s
KILLS   ?= 20
TIMES   ?= 1
DURATION ?= 2m
SCENARIO ?= mixed
ROUNDS  ?= 5
EACH    ?= 10s
OUT     ?= $(CURDIR)/docs

GOLANGCI_VERSION := v2.15.0
GOLANGCI         := $(BIN)/golangci-lint-$(GOLANGCI_VERSION)

# Packages whose tests start goroutines or drive them, but for tests/crash: what it drives
# are processes, which are not built with the race detector.
RACE_PACKAGES := ./wal/... ./snapshot/... ./server/... ./client/... ./inspect/... ./cmd/... ./internal/... ./tests/crashreplay/... ./tests/proc/...

# Modules of their own, with what only they depend on.
MODULES := tests/compat tests/bench/load

.DEFAULT_GOAL := help
.PHONY: help build test race fuzz sim sim-groups explore mutate crash crashreplay crashstates lab nonsense compat load load-test bench bench-compare lint fmt tidy clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

build: ## build the programs into bin/
	$(GO) build -o $(BIN)/ ./cmd/...

test: ## run the tests (the README's command)
	$(GO) test ./...

race: ## run the tests of everything concurrent under the race detector
	$(GO) test -race -timeout 30m $(RACE_PACKAGES)

fuzz: ## run every fuzz target for FUZZTIME (10s) each
	@# The Go tool may fail with nothing but "context deadline exceeded" when the time is up: that is no finding.
	@$(GO) list ./... | while read -r p; do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; \
	    for try in 1 2 3; do \
	      if $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p >fuzz.log 2>&1; then break; fi; \
	      if [ $$try = 3 ] || grep -q 'Failing input' fuzz.log || ! grep -qx ' *context deadline exceeded' fuzz.log; then cat fuzz.log; exit 1; fi; \
	    done; \
	  done; done && rm -f fuzz.log

sim: ## simulate SEEDS (1000) runs of OPS (500) client operations
	$(GO) test ./tests/sim -run '^TestSim$$' -count=1 -v -timeout 60m -sim.seeds=$(SEEDS) -sim.ops=$(OPS)

sim-groups: ## simulate SEEDS (1000) runs of several groups between which shards move
	$(GO) test ./tests/sim -run '^TestGroups$$' -count=1 -v -timeout 60m -sim.groupseeds=$(SEEDS) -sim.ops=$(OPS)

explore: ## search the consensus core exhaustively, deeper than the tests do
	$(GO) test ./tests/explore -count=1 -v -timeout 60m -explore.deep

mutate: ## switch off one safety rule at a time and see that something notices
	$(GO) run ./tests/mutate

crash: ## kill -9 real processes, KILLS (20) times
	$(GO) test ./tests/crash -count=1 -v -timeout 30m -crash.kills=$(KILLS)

crashreplay: build ## run five real processes into every kind of fault for DURATION (2m), SEED=n for certain faults
	$(BIN)/crashreplay run --scenario $(SCENARIO) --members 5 --duration $(DURATION) $(if $(SEED),--seed $(SEED))

crashstates: build ## start from every state that a power cut may leave of a disk (12,000 and more)
	$(BIN)/crashreplay enumerate --quiet

lab: ## run the scenarios of the labs on real processes, TIMES (1) times
	$(GO) test ./tests/lab -count=$(TIMES) -timeout 120m

nonsense: ## send random commands and bytes to a group for DURATION (2m), SEED=n for other ones
	$(GO) test ./tests/nonsense -count=1 -v -timeout 60m -nonsense.duration=$(DURATION) $(if $(SEED),-nonsense.seed=$(SEED))

compat: tests/compat/node/node_modules ## try the users' clients on real processes (needs Debian's redis-tools, redis-server, python3-redis, chromium; Node.js)
	cd tests/compat && $(GO) test -count=1 -v ./...

tests/compat/node/node_modules: tests/compat/node/package-lock.json
	cd tests/compat/node && npm ci && touch node_modules

bench-compare: ## write docs/performance.md: diskv, etcd and Redis under load, ROUNDS (5) times; PROFILES=dir
	@command -v redis-server >/dev/null || { apt-get update -qq && apt-get install -y -qq redis-server; }
	cd tests/bench/load && $(GO) run ./compare --out $(OUT) --dir $(CURDIR) --rounds $(ROUNDS) --duration $(EACH) $(if $(PROFILES),--profiles $(abspath $(PROFILES)))

bench: ## run the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./wal ./snapshot ./kv ./internal/resp ./server ./client

load: ## build the load program, bin/load
	cd tests/bench/load && $(GO) build -o $(BIN)/load .

load-test: ## run the tests of the load program and of bench-compare
	cd tests/bench/load && $(GO) test ./...

lint: $(GOLANGCI) ## run golangci-lint
	$(GOLANGCI) run ./...
	for m in $(MODULES); do (cd $$m && $(GOLANGCI) run ./...) || exit 1; done

$(GOLANGCI):
	GOBIN=$(BIN)/install $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(BIN)/install/golangci-lint $@ && rmdir $(BIN)/install

fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

tidy: ## make every go.mod and go.sum say what is used
	$(GO) mod tidy
	for m in $(MODULES); do (cd $$m && $(GO) mod tidy) || exit 1; done

clean: ## remove what was built
	rm -rf $(BIN)
