# Tollgate: the commands of everyday work. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

# What is built says which commit it is of, and bears that commit's time.
COMMIT = $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
CREATED = $(shell date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ)

.PHONY: help
help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.PHONY: run
run: ## Start gateway, billing and a demo upstream with live traffic, a live bill and the console; ONCE=1: one JSON line, then exit; DOCUMENTS=1: with PDFs
	@scripts/install.sh build $(if $(filter 1,$(ONCE)),,console)
	@$(if $(filter 1,$(ONCE)),true,scripts/console.sh build)
	@$(CARGO) build --release --bin gateway --bin billing --bin keyctl --bin demo
	@$(if $(filter 1,$(DOCUMENTS)),$(CARGO) build --release --locked --manifest-path documents/Cargo.toml --target-dir target/documents && cp target/documents/release/documents target/release/,:)
	@exec target/release/demo $(if $(filter 1,$(ONCE)),--once) $(ARGS)

.PHONY: console
console: ## Build the pages of console and portal, which `billing` embeds when it is built next; needs Node, which it installs
	@scripts/install.sh console
	@scripts/console.sh build

.PHONY: console-test
console-test: ## Test the console: units, and journeys in a browser against the programs with live traffic; ARGS are passed on
	@scripts/install.sh build console test
	$(CARGO) build --bin billing --bin gateway --bin keyctl --bin demo
	scripts/console.sh test $(ARGS)

.PHONY: build
build: ## Build the programs gateway, billing, keyctl and documents into target/release, with the console
	@scripts/install.sh build console
	@scripts/console.sh build
	@$(CARGO) build --release --bin gateway --bin billing --bin keyctl
	@$(CARGO) build --release --manifest-path documents/Cargo.toml --target-dir target/documents
	@cp target/documents/release/documents target/release/

.PHONY: test
test: ## Run every test against real servers (starts its own PostgreSQL and Kafka)
	@scripts/install.sh build test
	$(CARGO) build --manifest-path documents/Cargo.toml --target-dir target/documents
	scripts/console.sh build
	$(CARGO) test --workspace --exclude fuzz --no-fail-fast
	$(CARGO) test --manifest-path documents/Cargo.toml --target-dir target/documents --no-fail-fast
	@# The tests have built the programs that the journeys start.
	scripts/console.sh test

.PHONY: deploy-test
deploy-test: ## Pack the Debian package, and run the programs in the root file system of the image; as root, takes minutes
	@scripts/install.sh build test deploy
	$(CARGO) build --bin gateway --bin billing --bin keyctl
	$(CARGO) test -p deploy -- --ignored

.PHONY: image
image: ## Build the container image tollgate:latest; ARGS are passed on, as in ARGS='--platform linux/arm64'
	docker build --tag tollgate:latest --build-arg COMMIT=$(COMMIT) --build-arg CREATED=$(CREATED) \
		--build-arg SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(ARGS) .

.PHONY: dist
dist: ## Build the files of a release into target/release-files: archive, Debian package, list of components, checksums
	@scripts/install.sh build deploy dist
	TOLLGATE_COMMIT=$(COMMIT) $(CARGO) build --locked --profile dist --bin gateway --bin billing --bin keyctl
	$(CARGO) build --locked --release --manifest-path documents/Cargo.toml --target-dir target/documents
	cp target/documents/release/documents target/dist/
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) deploy/dist.sh target/dist target/release-files

.PHONY: autobahn
autobahn: ## Compare WebSockets with and without the gateway by the Autobahn suite; needs Python 2.7; ARGS=whole: every case
	@scripts/install.sh build test
	$(CARGO) build --bin gateway
	$(CARGO) test -p gateway --test proxy -- --ignored autobahn::$(if $(filter whole,$(ARGS)),whole,frames)

.PHONY: loom
loom: ## Try every interleaving of the journal's ring, by model checker
	@scripts/install.sh build
	LOOM_MAX_PREEMPTIONS=3 RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom CARGO_PROFILE_RELEASE_LTO=off \
		$(CARGO) test -p journal-ring --release --lib loom

.PHONY: miri
miri: ## Let miri judge the journal's ring; needs a nightly toolchain
	@scripts/install.sh build miri
	$(CARGO) +nightly miri test -p journal-ring

.PHONY: mutants
mutants: ## Change rating, prices, proration, tax and postings at one place at a time and expect a test to fail; ARGS="-F NAMES": a part of it
	@scripts/install.sh build mutants
	@scripts/mutants/run.sh $(ARGS)

.PHONY: fuzz
fuzz: ## Fuzz what reads requests, the journal's files, snapshots and usage batches, for TIME=60 seconds each; needs a nightly toolchain
	@scripts/install.sh build fuzz
	@# Libraries in C are built for the address sanitizer as well, and librdkafka's configure links with them.
	@for target in request reader ring segment batch snapshot; do \
		echo "fuzz: $$target, $(or $(TIME),60) s" >&2; \
		LDFLAGS=-fsanitize=address $(CARGO) +nightly fuzz run --fuzz-dir gateway/fuzz --target-dir target/fuzz $$target -- \
			-max_total_time=$(or $(TIME),60) || exit; \
	done

.PHONY: lint
lint: ## Check format, lints, documentation and licences
	@scripts/install.sh build lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@# Files of different folders import each other in one direction only.
	$(CARGO) run --quiet -p circles
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --quiet
	$(CARGO) deny check licenses bans sources
	@# The program that typesets documents is a workspace of its own.
	$(CARGO) fmt --manifest-path documents/Cargo.toml --check
	$(CARGO) clippy --manifest-path documents/Cargo.toml --target-dir target/documents --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --manifest-path documents/Cargo.toml --target-dir target/documents \
		--no-deps --document-private-items --quiet
	$(CARGO) deny --manifest-path documents/Cargo.toml --config deny.toml check licenses bans sources

.PHONY: bench
bench: ## Run the criterion benchmarks; ARGS are passed on
	@scripts/install.sh build
	$(CARGO) bench -p benches -- $(ARGS)

.PHONY: loadtest
loadtest: ## Compare gateway, bare Pingora, nginx and no proxy in one interleaved run; ARGS=--checks: decisions; ARGS=--edge: TLS and HTTP/2; ARGS=--help
	@scripts/install.sh build loadtest $(if $(findstring --edge,$(ARGS)),edge)
	$(CARGO) build --profile dist --bin gateway --bin billing --bin loadtest --bin passthrough --bin redis_limiter \
		--bin upstream
	@exec target/dist/loadtest $(ARGS)

.PHONY: drill
drill: ## Pull plugs under load and check that the books balance: all drills, or NAME=...; N=... times; NAME=list shows them; ARGS=--short
	@scripts/install.sh build test
	@$(CARGO) build --release --bin gateway --bin billing --bin keyctl --bin drill
	@$(if $(findstring --documents,$(ARGS)),$(CARGO) build --release --locked --manifest-path documents/Cargo.toml --target-dir target/documents && cp target/documents/release/documents target/release/,:)
	@exec target/release/drill $(NAME) $(if $(N),--faults $(N)) $(ARGS)

.PHONY: simulate
simulate: ## Simulate the token bank beside other limiters, under failures: a table, JSON, docs/limits.svg; ARGS=--money: histories of invoices and payments beside a plain model
	@scripts/install.sh build
	@$(CARGO) build --release --bin simulate
	@exec target/release/simulate $(ARGS)

.PHONY: clean
clean: ## Remove what was built (target/) and the directory of the demo (data/demo); other data stays
	$(CARGO) clean
	@# The demo marks the directory that it made: one without the mark is somebody's own.
	@if [ -e data/demo/made-by-demo ]; then rm -rf data/demo; fi
