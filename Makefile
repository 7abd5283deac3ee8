# The commands of the project. `make run` is the main job, `make test` passes the tests.

CARGO ?= cargo

# What /healthz tells, where there is a repository to ask.
export QUORATE_GIT_HASH ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

# What users run is what the tests of processes start; what is packaged is what is measured.
RELEASE = $(CURDIR)/target/release/quorate
DIST = $(CURDIR)/target/dist/quorate
BENCH = target/release/quorate-bench
test test-crates test-processes test-interop walk compat: export QUORATE_BIN = $(RELEASE)
bench-% failover: export QUORATE_BIN = $(DIST)

.PHONY: run release dist bench test test-crates test-processes test-interop walk compat fuzz verify fix \
    coverage book bench-smoke bench-checkpoints bench-peers bench-dns bench-relay bench-restart bench-day \
    failover crash-images

## Builds the program and runs three nodes on loopback.
run: release
	$(RELEASE) dev

## The program, quick to build.
release:
	$(CARGO) build --locked --release --package quorate

## The program as it is packaged: slower to build, and it costs less CPU for each request. The line
## numbers of its backtraces are in quorate.debug beside it, where debuggers look for them.
dist:
	$(CARGO) build --locked --profile dist --package quorate
	objcopy --only-keep-debug $(DIST) $(DIST).debug
	cd $(dir $(DIST)) && objcopy --strip-debug --add-gnu-debuglink=quorate.debug quorate

## Installs or names what is missing, and runs everything.
test: release
	tests/tools
	$(CARGO) test --locked --workspace

## The two halves of `make test`, for machines that run them side by side.
test-crates: release
	tests/tools
	$(CARGO) test --locked --workspace --exclude quorate-tests

test-processes: release
	tests/tools
	$(CARGO) test --locked --package quorate-tests

## Tools and resolvers of others in front of real nodes, and the scripts of what DNS must answer: a part
## of `make test`.
test-interop: release
	tests/tools
	$(CARGO) test --locked --workspace --test processes -- conformance:: interop::

## Random walks over real processes for MINUTES, from SEED on: kills, restarts and changes of members
## under PUTs. One that fails prints its seed and its steps. `make test` walks for about one minute.
walk: MINUTES ?= 10
walk: export QUORATE_WALK_MINUTES = $(MINUTES)
walk: export QUORATE_WALK_SEED = $(SEED)
walk: release
	$(CARGO) test --locked --workspace --test processes -- --nocapture walk::

## The same requests and clients against Quorate, iroh-dns-server and pkarr-relay, and a table of who
## follows the specification (docs/COMPATIBILITY.md). It builds the others: ten minutes at first.
compat: release
	tests/compat/run

## Feeds each fuzzer for SECONDS. What one finds lies in target/fuzz/artifacts.
fuzz: SECONDS ?= 60
fuzz:
	tests/fuzz/run $(SECONDS)

## Format, lints, import rules, layout, dependencies, docs. Writes nothing outside target/.
verify:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	.ci/import-rules
	$(CARGO) run --locked --quiet --package quorate-house
	.ci/deny
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet --lib --bins --examples

## Fixes what verify can fix by itself.
fix:
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	$(CARGO) fmt --all

## How much of the crates without I/O their own tests run, in percent of lines. Needs cargo-llvm-cov.
PURE = $(notdir $(wildcard crates/pure/*))
coverage:
	$(CARGO) llvm-cov --locked --quiet $(PURE:%=--package quorate-%) --summary-only \
	    --ignore-filename-regex '/(tests?|.*_tests|.*_properties|fixture|.*_fixture)\.rs$$'

## The documents as a book in target/book. Needs mdbook.
book:
	mdbook build

## What measures, and what is measured.
bench: dist
	$(CARGO) build --locked --release --package quorate-bench

## A baseline: rates, latencies and CPU per operation of a three-node cluster on loopback.
bench-smoke: bench
	$(BENCH) smoke

## What checkpoints cost publishers: the tail of PUT latencies while nodes make some, some ten minutes.
bench-checkpoints: bench
	$(BENCH) checkpoints --keys 100000
	$(BENCH) checkpoints --keys 1000000

## PUTs beside iroh-dns-server, which it builds below target/peers, and etcd, which it gets or names: some
## five minutes after that.
bench-peers: bench
	crates/testing/bench/peers iroh-dns-server etcd
	PATH="$(CURDIR)/target/peers/bin:$$PATH" $(BENCH) peers

## DNS beside Knot, NSD and iroh-dns-server, got in the same way: some ten minutes after that.
## `make bench-dns OPTIONS="--keys 10000 --keys-many 0 --secs 2"` is quick.
bench-dns: bench
	crates/testing/bench/peers iroh-dns-server knot nsd
	PATH="$(CURDIR)/target/peers/bin:$$PATH:/usr/sbin" $(BENCH) dns-peers $(OPTIONS)

## CPU for each GET, and each PUT of the same bytes, beside iroh-dns-server: some two minutes.
bench-relay: bench
	crates/testing/bench/peers iroh-dns-server
	PATH="$(CURDIR)/target/peers/bin:$$PATH" $(BENCH) relay-peers

## 2,000 endpoints behind one address that start within a second: no request may fail.
bench-restart: bench
	$(BENCH) restart --plots docs/plots

## A day of 100,000 endpoints in 20 minutes.
bench-day: bench
	$(BENCH) day --plots docs/plots

## How soon writes go on without their leader, and how often one is given up for nothing: some half an
## hour.
failover: bench
	$(BENCH) failover

## Opens what 20,000 losses of power leave of log and store, turns every bit of the last 64 KiB of a
## log, and cuts the power of three nodes a hundred times (docs/RELIABILITY.md).
crash-images: export QUORATE_CRASH_IMAGES ?= 20000
crash-images:
	$(CARGO) test --locked --release --package quorate-sim --test crash_images -- --nocapture
	QUORATE_EVERY_BIT=1 $(CARGO) test --locked --release --package quorate-log --lib no_byte_of
	QUORATE_POWER_CUTS=100 $(CARGO) test --locked --workspace --lib survive_the_loss_of_power
