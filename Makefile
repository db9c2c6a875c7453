# ravno needs Go and a C compiler (SQLite is compiled in), nothing else.
# `make` alone lists the targets.

export CGO_ENABLED = 1

GO       ?= go
# The SQLite driver leaves the full-text index FTS5 to a build tag. The flags of whoever calls stay.
comma    := ,
GO_FLAGS := $(shell $(GO) env GOFLAGS)
ifeq ($(findstring sqlite_fts5,$(GO_FLAGS)),)
GO_FLAGS := $(if $(filter -tags=%,$(GO_FLAGS)),$(GO_FLAGS:-tags=%=-tags=%$(comma)sqlite_fts5),$(GO_FLAGS) -tags=sqlite_fts5)
endif
export GOFLAGS := $(strip $(GO_FLAGS))

# Without a usable git, the build says no commit instead of failing.
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)

# How long one package's tests may take before they count as hanging, in wall-clock time.
TEST_TIMEOUT ?= 10m
RACE_TIMEOUT ?= 10m
# How many random schedules are played under the race detector, and how many cases of each law.
RACE_SIM     ?= 20
RACE_LAWS    ?= 20
# How many cases of each law a quick look goes through; all tests go through 100.
QUICK_LAWS   ?= 3
# How long each fuzz target runs.
FUZZ_TIME    ?= 30s
# What is random in the tests is drawn from this seed, so that a change is judged by itself and
# not by its luck; 0 draws anew. The simulation and the soak always draw anew.
RAPID_SEED   ?= 1
export RAPID_SEED
# How many cases of each law the soak goes through before it plays.
SOAK_LAWS    ?= 300
# The simulation plays so many random schedules, and goes on for so long.
SIM_CHECKS   ?= 2000
SIM_FOR      ?= 0s
# How long the soak plays, and where it saves what fails.
SOAK         ?= 1h
SOAK_SAVES   ?= $(CURDIR)/testdata/scenario
# Arguments of the demo, for example ARGS=--once, or which mutants to plant.
ARGS         ?=
# Arguments of the benchmark, for example BENCH="-quick -only capture,fold".
BENCH        ?=

.DEFAULT_GOAL := help
.PHONY: help build demo test quick race fuzz sim soak mutants bench lint clean

help: ## this list
	@echo 'usage: make TARGET'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)$$/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name what; do printf '  %-8s %s\n' "$$name" "$$what"; done

build: ## bin/ravno
	$(GO) build -buildvcs=$(BUILDVCS) -o bin/ravno ./cmd/ravno

demo: build ## a hub and two restaurants as real processes; ARGS=--once ends by itself
	bin/ravno demo $(ARGS)

# The longest first, so that no processor is idle at the end.
test: ## all tests, and how long each package took
	.ci/timed $(GO) test -timeout $(TEST_TIMEOUT) ./store ./net/sim ./cmd/ravno/e2e ./...

# Not in it: the packages that play whole chains, and tests of many seconds (-short). Files are in memory,
# since most of the time of a store's test is the disk's.
quick: ## in under a minute: no whole chains, few cases of each law
	TMPDIR=$$(.ci/memory) RAPID_CHECKS=$(QUICK_LAWS) .ci/timed $(GO) test -short -timeout $(TEST_TIMEOUT) \
		./store $$($(GO) list ./... | grep -v -e '/net/sim$$' -e '/cmd/ravno/e2e$$')

# Where goroutines meet: the network, once each by itself and once as whole chains.
race: ## crdt, net and some schedules of net/sim under the race detector
	RAPID_CHECKS=$(RACE_LAWS) .ci/timed $(GO) test -race -short -timeout $(RACE_TIMEOUT) \
		$$($(GO) list ./crdt/... ./net/... | grep -v '/net/sim$$')
	TMPDIR=$$(.ci/memory) .ci/timed $(GO) test -race -timeout $(RACE_TIMEOUT) ./net/sim -run TestSchedules -schedules=$(RACE_SIM)

fuzz: ## every fuzz target, for FUZZ_TIME each (30s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | while read -r target; do \
			echo "$$(dirname "$$file") $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) "$$(dirname "$$file")" </dev/null; \
		done; \
	done

sim: ## the chain over a simulated network, in SIM_CHECKS random schedules (2000)
	@figures=$$(mktemp); $(GO) test ./net/sim -count=1 -timeout 0 -run 'TestSchedules|TestEveryScenario' \
		-schedules.seed=0 -schedules=$(SIM_CHECKS) -schedules.for=$(SIM_FOR) -schedules.figures=$$figures; \
	outcome=$$?; cat $$figures; rm -f $$figures; exit $$outcome

soak: ## more cases of the laws, then schedules for SOAK (1h); what fails is shrunk and saved
	RAPID_SEED=0 RAPID_CHECKS=$(SOAK_LAWS) $(GO) test ./crdt/... ./store/... -count=1 -timeout 0
	@figures=$$(mktemp); $(GO) test ./net/sim -count=1 -timeout 0 -run TestSchedules \
		-schedules.seed=0 -schedules=0 -schedules.for=$(SOAK) -schedules.save=$(SOAK_SAVES) -schedules.figures=$$figures; \
	outcome=$$?; cat $$figures; rm -f $$figures; exit $$outcome

mutants: ## plants known bugs and sees whether the tests find them; ARGS=NAME for one
	$(GO) run ./testdata/mutants $(ARGS)

bench: ## what ravno costs against plain SQLite, into bench.json; BENCH="-quick -only fold"
	$(GO) run ./testdata/bench $(BENCH)

lint: ## gofmt, golangci-lint (with vet) and govulncheck
	@.ci/lint

clean: ## removes what was built
	rm -rf bin
