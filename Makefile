# The verbs of this project; CI calls the same ones.

CARGO ?= cargo
export ICEWELL_TEST_IMAGES := $(CURDIR)/target/images
# Where all tests with a Glance run, with the driver's package: a Python with what tests/glance/requirements.txt pins.
VENV := target/glance-bed-venv
GLANCE_TESTS := $(VENV)/bin/python -m pytest -q -c tests/glance/pytest.ini

.PHONY: help check test fuzz torture test-rust test-python test-glance test-page test-torture page-pictures glance-facts bench bench-scale bench-http bench-http-page bench-driver docs docs-generated wheel images clean test-package deb sbom dist reproducible semver

help: ## print this list (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: ## everything short of running: format, lints, layers, licences, API documents
	$(CARGO) fmt --all --check
	scripts/layers.sh
	@if command -v shellcheck >/dev/null; then set -x; shellcheck scripts/*.sh .ci/run packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm; else echo 'shellcheck: skipped, not installed'; fi
	@if $(CARGO) deny --version >/dev/null 2>&1; then set -x; $(CARGO) deny check bans licenses sources; else echo 'cargo deny: skipped, not installed'; fi
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --no-deps --workspace

test: ## everything that can fail, each part with its time; sets itself up (as root, with a network, the first time)
	@failed=; for part in test-rust test-python test-glance test-page test-torture test-package; do \
	    start=$$(date +%s); \
	    $(MAKE) --no-print-directory $$part || failed="$$failed $$part"; \
	    echo "=== $$part: $$(($$(date +%s) - start)) s"; \
	done; \
	[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

# The dev profile builds the command that the tests run, too; its dependencies (digests!) are optimised in Cargo.toml.
test-rust: images ## the tests of the crates, with real test images
	$(CARGO) test --workspace --no-fail-fast

test-python: ## the Python package, the driver inside a real Glance, and the benchmark's verdicts
	scripts/glance-bed.sh
	scripts/wheel.sh $(VENV)
	$(VENV)/bin/python -B -m pytest -q -W ignore bindings/python
	cd bench/http && python3 -B -m unittest -q

test-glance: ## the daemon in front of a real Keystone and Glance
	scripts/glance-bed.sh
	# With what the tests of the crates were built with, so that nothing is built twice.
	$(CARGO) build --workspace
	$(GLANCE_TESTS) --ignore-glob='*/test_facts_*' tests/glance

test-page: ## the page of the admin listener, in a real browser
	scripts/setup.sh
	scripts/axe.sh
	$(CARGO) build --workspace
	cd tests/page && python3 -B -W ignore -m unittest -q

test-torture: ## a short campaign of kills, power cuts and faults: each kind of round once
	scripts/setup.sh
	$(CARGO) build --workspace
	cd tests/torture && python3 -B -m unittest -q
	python3 -B tests/torture/run.py --cycles 1 --seed 1

# ARGS='--minutes 60 --seed 7', or --only ROUND, --plan, …: tests/torture/README.md tells all.
torture: ## kills, power cuts, bad origins, full disks: ten minutes of them, every byte compared (root)
	scripts/setup.sh
	$(CARGO) build --workspace
	python3 -B tests/torture/run.py $(ARGS)

# cargo-deb and the Debian take the time; each has a core.
test-package: ## the Debian package, installed, upgraded and purged in a Debian of its own, with its systemd running
	scripts/setup.sh
	$(CARGO) build --workspace
	@scripts/package-bed.sh & scripts/deb.sh tools && wait $$!
	cd tests/package && python3 -B -W ignore -m unittest -q

page-pictures: ## take the pictures of the page for docs/images again (five minutes, so that the charts have something to show)
	$(CARGO) build --workspace
	cd tests/page && python3 -B pictures.py

glance-facts: ## measure again what tests/glance/FACTS.md says of Glance itself
	scripts/glance-bed.sh
	$(GLANCE_TESTS) tests/glance

images:
	scripts/setup.sh
	scripts/images.sh "$(ICEWELL_TEST_IMAGES)"

bench: ## time the library: listing, pruning and admission by number of entries, throughput of fills and hits
	$(CARGO) bench -p icewell

SCALE := docs/performance/entries.json

bench-scale: ## time the library over 1,000 to 1,000,000 images, for docs/performance (minutes, 5 GB)
	mkdir -p $(CURDIR)/target
	ICEWELL_BENCH_ENTRIES=1000,10000,100000,1000000 ICEWELL_BENCH_JSON=$(CURDIR)/$(SCALE) \
	    ICEWELL_BENCH_DIR=$(CURDIR)/target $(CARGO) bench -p icewell --bench entries

# ARGS="--quick", "--only herd*", "--servers icewell,nginx" and so on: ARGS=--help tells all.
bench-http: ## time the daemon beside nginx, Varnish, Traffic Server and Glance (30 minutes; ARGS=--quick: 4)
	scripts/setup-bench.sh
	$(CARGO) build --release -p icewell-cli -p icewell-bench-http
	bench/http/run.py $(ARGS)

bench-http-page: ## write the figures of a run (RECORD=target/bench-http/….json) into docs/performance.md
	bench/http/page.py $(RECORD)

bench-driver: ## time the driver inside Glance beside Glance's own: minutes, for Glance's own prune is quadratic
	scripts/glance-bed.sh
	scripts/wheel.sh $(VENV)
	$(VENV)/bin/python -B -W ignore bindings/python/bench/driver.py

# One after the other. The sanitizers of rustc need a nightly compiler; without them the stable one does.
SECONDS_EACH ?= 60
fuzz: ## look for inputs that break what is promised of them: SECONDS_EACH=60 for each target; needs cargo-fuzz, a C++ compiler
	@cd fuzz && for target in $$(sed -n 's/^name = "\([a-z_]*\)"$$/\1/p' Cargo.toml); do \
	    mkdir -p target/found/$$target; \
	    $(CARGO) fuzz run --fuzz-dir . --sanitizer none $$target target/found/$$target corpus/$$target -- \
	        -max_total_time=$(SECONDS_EACH) -max_len=4096 -print_final_stats=1 || exit 1; \
	done

deb: ## build the Debian package, into target/debian
	scripts/deb.sh

sbom: ## write down what the command is linked from (CycloneDX), and its licences, into target/sbom
	scripts/sbom.py target/sbom

dist: ## make and check all that is published: crates, wheel, Debian package (docs/releasing.md)
	scripts/dist.sh

reproducible: ## build what is published twice, in two folders, and compare
	scripts/reproducible.sh

# SINCE=REVISION; otherwise the newest release.
semver: ## hold the interfaces of the libraries to those of the last release; needs cargo-semver-checks
	scripts/semver.sh $(SINCE)

wheel: ## build the Python package, into target/wheels
	scripts/wheel.sh

docs: ## the documents as a site with the API documents, man pages, shell completions and links, under target/
	scripts/docs.sh

docs-generated: ## write anew what is made of the program in docs/: commands.md, configuration.md
	ICEWELL_WRITE_DOCS=1 $(CARGO) test -q --workspace --bin icewell reference
	$(CARGO) run -q -p icewell-cli -- config --reference > docs/configuration.md

clean: ## remove all that was built, test images too
	$(CARGO) clean
