# `make run` runs the server, `make test` passes the tests; `make help` lists
# the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL: # the stages of `make test` go in their order
.DEFAULT_GOAL := help

linter := .tools/golangci-lint

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

.PHONY: run
run: ## the server, on this machine, with all its defaults
	go run .

.PHONY: build
build: ## ./tagma, for this machine; reuses what `go run .` has compiled
	go build -o tagma .

# Other flags than those of `go run` compile everything again.
.PHONY: static
static: ## ./tagma, one static file for any machine of this kind
	CGO_ENABLED=0 go build -trimpath -o tagma .

.PHONY: test
test: deps generate-check lint web-check test-go ## everything that CI runs
	@echo "== all of it passed"

.PHONY: deps
deps: ## what the tests need of the machine: installs only what is missing
	@echo "== deps: what the tests need of the machine"
	@internal/tools/deps.sh

.PHONY: generate
generate: ## the generated code, again
	go generate ./...

.PHONY: generate-check
generate-check: ## that generating again changes nothing
	@echo "== generate-check: generating again changes nothing"
	@internal/tools/unchanged.sh go generate ./...

.PHONY: lint
lint: $(linter) ## the house rules, see .golangci.yml
	@echo "== lint: the house rules"
	$(linter) run

# The linter is a module of its own, so that the hundreds it is made of stay out
# of Tagma's go.mod.
$(linter): internal/tools/go.mod internal/tools/go.sum
	@echo "== building the linter, once; some minutes on a new machine"
	cd internal/tools && CGO_ENABLED=0 go build -o $(CURDIR)/$@ \
		github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: web-check
web-check: ## the playground's sources, and that what is built from them is current; the other clients'
	@echo "== web-check: the playground's sources and its built files, and the other clients' sources"
	npm --prefix web/playground run lint
	npm --prefix web/playground run check
	web/playground/node_modules/.bin/prettier --check internal/testing/e2e/clients internal/bench/postgraphile

# SQLite is C made into Go, in memory of its own, where the race detector can see
# nothing: to leave it out there spares tests of SQLite over half of their time.
# And a process under the detector lingers for a second when it ends, in case
# that something in it still races: a fiftieth will do for the many of the tests.
.PHONY: test-go
test-go: ## the Go tests, with the race detector
	@echo "== test-go: all Go tests, with the race detector"
	GORACE=atexit_sleep_ms=20 go test -race -gcflags=modernc.org/sqlite/lib=-race=false \
		-parallel 4 -timeout 40m ./...

# `make test` runs the seeds of the fuzz targets, and what was found before.
.PHONY: fuzz
fuzz: ## each fuzz target for a minute (SECONDS=60)
	@internal/tools/fuzz.sh $(or $(SECONDS),60)

.PHONY: bench
bench: ## the Go benchmarks, then the load runs of docs/performance.md; half an hour
	go test -run '^$$' -bench . -benchmem -benchtime 100ms ./...
	go run ./internal/bench
	go run ./internal/bench -peers

.PHONY: migration
migration: ## the next step for both databases: NAME=words_like_this NUMBER=7 POSTGRES=postgres://…
	go run ./internal/storage/database/newmigration -name '$(NAME)' -number '$(NUMBER)' -postgres '$(POSTGRES)'
