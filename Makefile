# ravno needs Go and a C compiler (SQLite is compiled in), nothing else.
# `make` alone lists the targets.

export CGO_ENABLED = 1

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Without a usable git, the build says no commit instead of failing.
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)
GO       ?= go

# How long one package's tests may take before they count as hanging, in wall-clock time.
TEST_TIMEOUT ?= 10m
RACE_TIMEOUT ?= 20m
# How long each fuzz target runs.
FUZZ_TIME    ?= 30s
# How many random courses of partitions the simulation goes through.
SIM_CHECKS   ?= 1000
SIM_TIMEOUT  ?= 30m
# Arguments of the demo, for example ARGS=--once, or which mutants to plant.
ARGS         ?=

.DEFAULT_GOAL := help
.PHONY: help build demo test race fuzz sim mutants bench lint clean

help: ## this list
	@echo 'usage: make TARGET'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)$$/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name what; do printf '  %-8s %s\n' "$$name" "$$what"; done

build: ## bin/ravno
	$(GO) build -buildvcs=$(BUILDVCS) -ldflags '-X main.version=$(VERSION)' -o bin/ravno ./cmd/ravno

demo: build ## a hub and two restaurants as real processes; ARGS=--once ends by itself
	bin/ravno demo $(ARGS)

test: ## all tests
	$(GO) test -timeout $(TEST_TIMEOUT) ./...

race: ## all tests under the race detector
	$(GO) test -race -timeout $(RACE_TIMEOUT) ./...

fuzz: ## every fuzz target, for FUZZ_TIME each (30s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | while read -r target; do \
			echo "$$(dirname "$$file") $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) "$$(dirname "$$file")" </dev/null; \
		done; \
	done

sim: ## the chain over a simulated network, in SIM_CHECKS random courses (1000)
	$(GO) test ./net/sim/ -run TestPartitions -rapid.checks=$(SIM_CHECKS) -timeout $(SIM_TIMEOUT) -v

mutants: ## plants known bugs and sees whether the tests find them; ARGS=NAME for one
	$(GO) run ./testdata/mutants $(ARGS)

bench: ## every benchmark
	$(GO) test -run '^$$' -bench . -benchmem ./...

lint: ## gofmt and go vet
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...

clean: ## removes what was built
	rm -rf bin
