# Every verb of this project. Without one, `make` prints them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
NAME ?= db_down
SEED ?= 7
MINUTES ?= 2
ROUNDS ?= 7
STACK := cargo run --quiet --package stack --

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: up down doctor drill drills
up: ## start the stack, with Docker when it can; `make down` stops it
	@stack/up.sh

down: ## stop the stack, and what a killed one has left
	@stack/down.sh

doctor: ## say why the stack is not healthy
	@$(STACK) doctor

drill: ## break something and see it told: NAME=db_down, or another that `make drill NAME=?` lists
	@$(STACK) drill $(NAME) --prefer-running $(if $(filter 1,$(DOCKER)),--compose)

drills: ## every drill, each on a stack of its own, with the windows of rules shortened, and pictures of them
	@rm -f .lookout/drills/*
	@$(STACK) drills --results .lookout/drills/drills.json; failed=$$?; set -e; \
	  stack/docs/overview.py .lookout/drills/drills.json .lookout/drills/drills.svg; \
	  for log in .lookout/drills/*.log; do stack/docs/timeline.py $${log%.log}.svg <$$log; done; exit $$failed

.PHONY: test test-compose lint
test: ## everything that fits in 25 minutes
	@stack/test.sh

test-compose: ## the stack of docker compose, healthy, traced, broken and restarted; needs a Docker engine
	@cargo test --package stack --test compose -- --test-threads=1

lint: ## formatting, lints, docs, one opentelemetry, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --package stack --test compose -- --deny warnings
	cargo clippy --package relay --test chaos -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --quiet
	@cargo tree --workspace --invert opentelemetry --depth 0 >/dev/null \
	  || { echo 'Spans of one opentelemetry would be lost to the other. Keep one in Cargo.toml.' >&2; exit 1; }
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; \
	  else echo 'SKIPPED: needs cargo-deny (cargo install cargo-deny)'; fi

.PHONY: sqlx-prepare openapi
sqlx-prepare: ## write service/.sqlx again, after a change of SQL
	@$(STACK) with-postgres -- service/prepare-sqlx.sh

openapi: ## write service/openapi.json again, after a change of the API
	@cargo run --quiet --package service --example openapi

.PHONY: chaos chaos-check
chaos: ## storm against the relay: SEED=7 MINUTES=2
	@SEED=$(SEED) MINUTES=$(MINUTES) cargo test --package relay --test chaos

chaos-check: ## two minutes of it: fixed seeds, and a broken relay that must be found out
	@CHECK=1 cargo test --package relay --test chaos

.PHONY: bench bench-check
bench: ## what telemetry costs, beside bare actix-web and the crates people usually take
	@cd bench && cargo build --release --package bare --package ours && cargo build --profile popular --package popular
	@cd bench && cargo build --release --package runner --features paired
	@taskset --cpu-list 1 $(STACK) with-postgres -- \
	  cargo run --release --quiet --manifest-path bench/Cargo.toml --package runner --features paired -- run --rounds $(ROUNDS)

bench-check: ## fail when a request has become dearer, in instructions
	@cd bench && cargo build --release --package bare --package ours --package runner
	@cd bench && cargo run --release --quiet --package runner -- check

NIGHTLY := drills unshortened repeats pipeline bare service schemathesis telemetry fuzz chaos bench
.PHONY: nightly $(NIGHTLY:%=nightly-%)
nightly: $(NIGHTLY:%=nightly-%) ## what takes longer: each part runs alone

nightly-drills: drills ## every drill; the results and pictures are committed
	@mv .lookout/drills/drills.json stack/results/ && mv .lookout/drills/drills.svg stack/docs/ && cp .lookout/drills/*.svg stack/docs/drills/

nightly-unshortened: ## every drill that waits at most 15 minutes in all, with the windows of rules as they are
	@$(STACK) drills --unshortened --lanes 6 --timelines .lookout/unshortened --results stack/results/unshortened.json

nightly-repeats: ## the promised times twenty times each, and an outage that outlasts the way around the relay
	@$(STACK) drill db_down --repeat 20 --results stack/results/db_down.json
	@$(STACK) drill db_frozen --repeat 20 --results stack/results/db_frozen.json
	@$(STACK) drill service_down --repeat 20 --results stack/results/service_down.json
	@$(STACK) drill db_down --for 6m --results stack/results/db_down_6m.json
	@set -o pipefail; $(STACK) drill db_down | tee /dev/stderr | stack/docs/timeline.py stack/docs/db_down.svg stack/docs/message.svg

nightly-pipeline: ## how soon lines and spans are found, and whether an outage of Loki and Jaeger loses any
	@$(STACK) pipeline --results stack/results/pipeline.json

nightly-bare: ## the stack on a machine with nothing but Rust, cc, make and Python
	@stack/bare.sh stack/results/bare.json

nightly-service: ## throughput, latency and memory of the service, beside bare actix-web: MINUTES=30
	@MINUTES=$(if $(filter command line,$(origin MINUTES)),$(MINUTES),30) $(STACK) with-postgres --durable -- load/nightly.sh

nightly-schemathesis: ## hold the live service against its description, long
	@$(STACK) with-postgres -- service/schemathesis.sh 300

nightly-telemetry: ## latency with each backend stuck, and a collector that is away for thirty seconds
	@cargo test --release --package observability --no-run
	@# On one core: which core a program wakes up on would differ more than what is measured.
	@taskset --cpu-list 1 cargo test --release --package observability -- --ignored --nocapture --test-threads=1

nightly-fuzz: ## what headers may bring: two minutes of libFuzzer each, and 200,000 random ones
	@observability/fuzz/run.sh 120
	@PROPTEST_CASES=200000 cargo test --package observability --lib propagation

nightly-chaos: ## ten minutes of storm, the same bad days with Alertmanager alone, and a burst against the release build
	@cargo test --release --package relay --test burst -- --nocapture
	@SEED=$(SEED) MINUTES=10 cargo test --package relay --test chaos
	@TABLE=1 cargo test --package relay --test chaos

nightly-bench: ## bench, alone on the machine; the result is committed
	@$(MAKE) --no-print-directory bench ROUNDS=15
