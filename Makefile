# Everything that is done to weir. `make` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

STATICCHECK := v0.8.2
GOFUMPT := v0.12.0
GOVULNCHECK := v1.9.0

EXAMPLE ?= demo
STORE ?= memory
PORT ?= 10000
HTTP_PORT ?= 8080
FUZZTIME ?= 60s
BENCH ?= full
ROUNDS ?= 5
SOAK ?= 10m

TOOLS := $(CURDIR)/.tools
STAMPS := $(TOOLS)/stamps
# A changed pin has another stamp, so that it is installed again and nothing else is.
VENV_STAMP := $(STAMPS)/venv-$(shell cksum < tools/requirements.txt | cut -d ' ' -f 1)
STATICCHECK_STAMP := $(STAMPS)/staticcheck-$(STATICCHECK)
GOFUMPT_STAMP := $(STAMPS)/gofumpt-$(GOFUMPT)
GOVULNCHECK_STAMP := $(STAMPS)/govulncheck-$(GOVULNCHECK)

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/weir-rls/weir/internal/cli.version=$(VERSION)
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'

# The race detector needs a C compiler. The tests of whole processes stay
# without it, and uncached: Go does not see what they run. Comparisons with models
# show the race detector a part of their histories, and run all of them without it.
RACE := $(if $(shell command -v gcc || command -v clang || command -v cc),-race)
PROCESSES := /e2e|/examples/|/internal/parts|/internal/stage|/tools/bench

# Go modules of their own, which hold what weir writes for others against their types.
MODULES := charts deploy envoy/apis

.PHONY: help
help: ## List what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

.PHONY: build
build: ## Build bin/weir, one static binary
	@$(GOBUILD) -o bin/weir ./cmd/weir

.PHONY: demo
demo: build $(if $(ENVOY),,$(VENV_STAMP)) $(if $(filter redis,$(STORE)),redis) ## Watch Envoy refuse requests: EXAMPLE=a folder of examples, STORE=memory|redis, ENVOY=/path/to/envoy, PORT=10000, HTTP_PORT=8080
	@[ -f 'examples/$(EXAMPLE)/main.go' ] || { echo 'no example $(EXAMPLE): there are' $$(ls examples) >&2; exit 1; }
	@CGO_ENABLED=0 go build -buildvcs=false -o 'bin/$(EXAMPLE)' './examples/$(EXAMPLE)'
	@exec env ENVOY='$(ENVOY)' 'bin/$(EXAMPLE)' -store '$(STORE)' -port '$(PORT)' -http-port '$(HTTP_PORT)' -weir bin/weir

.PHONY: test
test: tools ## Install what is missing and run all tests
	@packages=$$(go list ./...); failed=0; \
	go test $(RACE) -timeout 15m $$(grep -vE '$(PROCESSES)' <<<"$$packages") || failed=1; \
	go test -count=1 -timeout 15m -run "Conformance|Budget|Bytes|Simulation" ./buckets/guard ./buckets/memory ./buckets/redis ./descriptors ./internal/simulate ./ratelimit/... ./service || failed=1; \
	go test -count=1 -timeout 15m $$(grep -E '$(PROCESSES)' <<<"$$packages") || failed=1; \
	for module in $(MODULES); do (cd $$module && go test -timeout 15m ./...) || failed=1; done; \
	exit $$failed

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (60s), or all together: FUZZTIME=300s/all
	@tools/fuzz.sh '$(FUZZTIME)'

.PHONY: bench
bench: build redis ## Measure weir beside a server that does nothing, into docs/explanation/performance.md: BENCH=short only shows that it runs
	@go run -buildvcs=false ./tools/bench -weir bin/weir $(if $(filter short,$(BENCH)),-short)

.PHONY: chaos
chaos: tools ## Make every fault happen ROUNDS times (5) to a fleet under load, into docs/explanation/reliability.md; make test does it once
	@go test -count=$(ROUNDS) -timeout 60m -v -run '^TestChaos' ./e2e ./buckets/redis | go run -buildvcs=false ./tools/chaos

.PHONY: soak
soak: tools ## Load weir with all that there is for SOAK (10m), and fail if it grows; make test does it for 10 s
	@go test -count=1 -timeout 0 -v -run '^TestSoak$$' ./e2e -args -soak '$(SOAK)' | grep -v '^ *{"time"'

.PHONY: pictures
pictures: ## Draw the pictures of docs/explanation anew, by the buckets as they are
	@go test ./tools/pictures -count=1 -update

.PHONY: transcript
transcript: tools ## Follow the README as a new user would, into docs/tutorial/new-user.txt, with the picture of the dashboard
	@go test ./e2e -count=1 -run '^TestNewUser_' -update

.PHONY: lint
lint: $(STATICCHECK_STAMP) $(GOFUMPT_STAMP) ## go vet, staticcheck, gofumpt, import rules and sizes
	@for module in . $(MODULES); do (cd $$module && go vet ./... && $(TOOLS)/bin/staticcheck ./...) || exit 1; done
	@unformatted=$$($(TOOLS)/bin/gofumpt -l .); \
	[ -z "$$unformatted" ] || { echo "not formatted, run make format:" $$unformatted >&2; exit 1; }
	@go test .

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK_STAMP) ## Look for known vulnerabilities in what weir calls; without the network it says that it did not
	@tools/vulncheck.sh $(TOOLS)/bin/govulncheck

.PHONY: format
format: $(GOFUMPT_STAMP) ## Format all Go files
	@$(TOOLS)/bin/gofumpt -w .

.PHONY: tools
tools: $(VENV_STAMP) redis chromium ## Install the real parts into .tools: Envoy, Valkey, Redis, Chromium

.PHONY: redis
redis:
	@tools/install.sh redis

.PHONY: chromium
chromium:
	@tools/install.sh chromium

.PHONY: clean
clean: ## Remove bin and .tools
	@rm -rf bin .tools

$(VENV_STAMP): | $(STAMPS)
	@tools/install.sh venv $(TOOLS)/venv
	@touch $@

$(STATICCHECK_STAMP): | $(STAMPS)
	@GOBIN=$(TOOLS)/bin go install honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK)
	@touch $@

$(GOFUMPT_STAMP): | $(STAMPS)
	@GOBIN=$(TOOLS)/bin go install mvdan.cc/gofumpt@$(GOFUMPT)
	@touch $@

$(GOVULNCHECK_STAMP): | $(STAMPS)
	@GOBIN=$(TOOLS)/bin go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	@touch $@

$(STAMPS):
	@mkdir -p $@
