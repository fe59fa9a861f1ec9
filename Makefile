# Every verb of this project. Without one, `make` prints them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
NAME ?= db_down
SEED ?= 7
MINUTES ?= 2
STACK := cargo run --quiet --package stack --

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: up down doctor drill
up: ## start the stack; Ctrl-C stops it
	@$(STACK) up

down: ## stop the stack, and what a killed one has left
	@$(STACK) down

doctor: ## say why the stack is not healthy
	@$(STACK) doctor

drill: ## break something and see it told: NAME=db_down, db_frozen, service_down
	@$(STACK) drill $(NAME) --prefer-running

.PHONY: test lint
test: ## everything that fits in a quarter of an hour
	@$(STACK) check-alerts
	@$(STACK) with-postgres -- cargo test --workspace

lint: ## formatting, lints, docs, one opentelemetry, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --quiet
	@cargo tree --workspace --invert opentelemetry --depth 0 >/dev/null \
	  || { echo 'Spans of one opentelemetry would be lost to the other. Keep one in Cargo.toml.' >&2; exit 1; }
	@if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; \
	  else echo 'SKIPPED: needs cargo-deny (cargo install cargo-deny)'; fi

.PHONY: sqlx-prepare
sqlx-prepare: ## write service/.sqlx again, after a change of SQL
	@$(STACK) with-postgres -- service/prepare-sqlx.sh

.PHONY: chaos
chaos: ## storm against the relay: SEED=7 MINUTES=2
	@SEED=$(SEED) MINUTES=$(MINUTES) cargo test --package relay --test chaos

.PHONY: nightly nightly-drills
nightly: nightly-drills ## what takes longer: each part runs alone

nightly-drills: ## twenty drills each; the results are committed
	@$(STACK) drill db_down --repeat 20 --results stack/results/db_down.json
	@$(STACK) drill db_frozen --repeat 20 --results stack/results/db_frozen.json
	@$(STACK) drill service_down --repeat 20 --results stack/results/service_down.json
	@$(STACK) drill db_down --for 4m
