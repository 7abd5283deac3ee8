# The commands of the project. `make run` is the main job, `make test` passes the tests.

CARGO ?= cargo

# The commit that /healthz reports, if this is a repository.
export QUORATE_GIT_HASH ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

# The process tests start what users run; benchmarks measure what is packaged.
RELEASE = $(CURDIR)/target/release/quorate
DIST = $(CURDIR)/target/dist/quorate
BENCH = target/release/quorate-bench
test test-crates test-processes test-interop walk compat: export QUORATE_BIN = $(RELEASE)
bench-% failover: export QUORATE_BIN = $(DIST)

.PHONY: run release dist bench test test-crates test-processes test-interop walk compat fuzz verify fix \
    coverage book bench-smoke bench-backups bench-visible bench-peers bench-dns bench-relay bench-restart bench-day \
    failover crash-images

## Builds the program and runs three nodes on loopback.
run: release
	$(RELEASE) dev

## The program, quick to build.
release:
	$(CARGO) build --locked --release --package quorate

## The program as it is packaged: slower to build, less CPU for each request. The line numbers for its
## backtraces are in quorate.debug next to it, where debuggers find them.
dist:
	$(CARGO) build --locked --profile dist --package quorate
	objcopy --only-keep-debug $(DIST) $(DIST).debug
	cd $(dir $(DIST)) && objcopy --strip-debug --add-gnu-debuglink=quorate.debug quorate

## Installs or names missing programs, and runs all tests.
test: test-crates test-processes

## The two halves of `make test`, for machines that run them side by side. The tests of the crates mostly
## wait: three for each core at a time. With cargo-nextest they take three minutes on two cores instead of
## four, because it runs the tests of several crates at the same time.
ifneq ($(shell $(CARGO) nextest --version 2>/dev/null),)
NEXTEST = yes
endif
test-crates: export RUST_TEST_THREADS ?= $(shell expr 3 \* $$(nproc))
test-crates: export NEXTEST_TEST_THREADS ?= $(RUST_TEST_THREADS)
test-crates: release
	tests/tools
	$(CARGO) $(if $(NEXTEST),nextest run,test) --locked --workspace --exclude quorate-tests
	$(if $(NEXTEST),$(CARGO) test --locked --workspace --exclude quorate-tests --doc)

test-processes: release
	tests/tools
	$(CARGO) test --locked --package quorate-tests

## Other DNS tools and resolvers with real nodes, and the scripts of DNS answers: a part of `make test`.
test-interop: release
	tests/tools
	$(CARGO) test --locked --workspace --test processes -- conformance:: interop::

## Random walks over real processes for MINUTES, starting with SEED: kills, restarts and membership
## changes under PUTs. A failure prints its seed and steps. `make test` walks for about one minute.
walk: MINUTES ?= 10
walk: export QUORATE_WALK_MINUTES = $(MINUTES)
walk: export QUORATE_WALK_SEED = $(SEED)
walk: release
	$(CARGO) test --locked --workspace --test processes -- --nocapture walk::

## The same requests and clients for Quorate, iroh-dns-server and pkarr-relay, as the table of
## docs/COMPATIBILITY.md. Builds the others: ten minutes the first time.
compat: release
	tests/compat/run

## Runs each fuzzer for SECONDS. Findings are in target/fuzz/artifacts.
fuzz: SECONDS ?= 60
fuzz:
	tests/fuzz/run $(SECONDS)

## Format, lints, import rules, layout, dependencies, docs, and what documents quote. Writes only to target/.
verify:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	.ci/import-rules
	$(CARGO) run --locked --quiet --package quorate-house
	.ci/deny
	$(CARGO) test --locked --quiet --workspace --bin quorate -- documents_tests
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

## The benchmark program, and the program that it measures.
bench: dist
	$(CARGO) build --locked --release --package quorate-bench

## Rates, latencies and CPU per operation of a three-node cluster on loopback.
bench-smoke: bench
	$(BENCH) smoke

## PUT latencies while backups are saved, and how long they take to verify and restore: about ten minutes.
bench-backups: bench
	$(BENCH) backups

## How long a PUT takes until every node shows it by DNS, at 1,000 PUTs a second: about a minute.
bench-visible: bench
	$(BENCH) visible $(OPTIONS)

## PUTs compared with iroh-dns-server, built below target/peers, and etcd, installed or named: about five
## minutes after that. OPTIONS="--fill --keys 100000 --clients 32,256 --turns 5 --secs 60" measures them beside
## checkpoints, in 40 minutes.
bench-peers: bench
	crates/testing/bench/peers iroh-dns-server etcd
	PATH="$(CURDIR)/target/peers/bin:$$PATH" $(BENCH) peers $(OPTIONS)

## DNS compared with Knot, NSD and iroh-dns-server: about ten minutes after building them.
## `make bench-dns OPTIONS="--keys 10000 --keys-many 0 --secs 2"` is quick.
bench-dns: bench
	crates/testing/bench/peers iroh-dns-server knot nsd
	PATH="$(CURDIR)/target/peers/bin:$$PATH:/usr/sbin" $(BENCH) dns-peers $(OPTIONS)

## CPU for each GET, and each PUT of the same bytes, compared with iroh-dns-server: about two minutes.
bench-relay: bench
	crates/testing/bench/peers iroh-dns-server
	PATH="$(CURDIR)/target/peers/bin:$$PATH" $(BENCH) relay-peers

## Lookups in a DHT of 300 nodes compared with pkarr-relay and iroh-dns-server, and what they and
## publications cost: about ten minutes after building the others.
bench-dht: bench
	crates/testing/bench/peers iroh-dns-server pkarr-relay
	PATH="$(CURDIR)/target/peers/bin:$$PATH" $(BENCH) dht $(OPTIONS)

## 2,000 endpoints behind one address start within a second: no request may fail.
bench-restart: bench
	$(BENCH) restart --plots docs/plots

## A day of 100,000 endpoints in 20 minutes.
bench-day: bench
	$(BENCH) day --plots docs/plots

## How soon writes continue after a leader is lost, and unnecessary elections: about twenty
## minutes.
failover: bench
	$(BENCH) failover

## Opens log and store after 20,000 simulated losses of power, flips every bit of the last 64 KiB of a
## log, and cuts the power of three nodes a hundred times (docs/RELIABILITY.md).
crash-images: export QUORATE_CRASH_IMAGES ?= 20000
crash-images:
	$(CARGO) test --locked --release --package quorate-sim --test crash_images -- --nocapture
	QUORATE_EVERY_BIT=1 $(CARGO) test --locked --release --package quorate-log --lib every_flipped_bit_of_a_log
	QUORATE_POWER_CUTS=100 $(CARGO) test --locked --workspace --lib survive_a_power_loss
