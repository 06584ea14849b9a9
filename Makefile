# Everything happens in .venv, .venv-proxy and target; nothing outside this folder is touched but the model's weights (~/.cache).
PYTHON ?= python3
BIN := .venv/bin
export VIRTUAL_ENV := $(CURDIR)/.venv
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
DEVELOP := $(BIN)/maturin develop --release --locked --quiet
PROXY := .venv-proxy/bin/litellm

.PHONY: setup demo test test-rust test-loom test-python test-litellm-floor lint browser rust-components bench bench-peers bench-serving bench-tools soak-serving bench-instructions fuzz docs wheels test-pythons test-ray clean

# The virtual environment with the extension in release mode and every tool.
setup: .venv/maturin
	$(DEVELOP) --extras dev,local,mcp,otel

# A real answer of a real model, token by token.
demo: .venv/maturin
	$(DEVELOP) --extras local
	$(BIN)/headrace model pull
	$(BIN)/python examples/demo.py

# The whole test suite.
test: test-rust test-loom test-python test-litellm-floor

test-rust:
	cargo test --locked --quiet

# Loom replaces the atomics of the whole build, so it has a target folder of its own.
test-loom:
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --locked --quiet --release -p headrace-channel --test loom

test-python: setup $(PROXY)
	$(BIN)/python -m pytest -n auto

# The contract with litellm, held against the oldest that pyproject.toml allows.
test-litellm-floor: setup target/litellm-floor
	PYTHONPATH=target/litellm-floor $(BIN)/python -m pytest -n auto tests/providers/litellm

target/litellm-floor: pyproject.toml | .venv/maturin
	rm -rf $@
	PIP_CONSTRAINT= $(BIN)/python -m pip install --quiet --no-deps --target $@ \
	  "litellm==$$(sed -n 's/.*"litellm>=\(.*\)".*/\1/p' pyproject.toml)"
	touch $@

# Formats, lints and types. A folder of benches is checked by itself, as it runs: both of them have a module `run`.
lint: setup rust-components
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --no-explicit-package-bases benches/side_by_side benches/test_stream_speed.py
	$(BIN)/mypy --no-explicit-package-bases benches/instructions
	$(BIN)/mypy --no-explicit-package-bases benches/serving
	$(BIN)/mypy --no-explicit-package-bases benches/tools
	$(BIN)/pyright
	$(BIN)/python -m mypy.stubtest headrace._native

# Debian's Chromium, in which the server's page is tested. Where it cannot be installed, those tests are skipped.
browser:
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium \
	  fonts-dejavu-core; } >/dev/null 2>&1 || echo "no Chromium: the page is not tested"

# A minimal Rust has neither of the two.
rust-components:
	@(cargo fmt --version && cargo clippy --version) >/dev/null 2>&1 || rustup component add rustfmt clippy

# Results go to target/criterion and .benchmarks, comparable from run to run.
bench: setup
	cargo build --locked --release -p headrace-simulator
	cargo bench --locked -p headrace-benches
	$(BIN)/python -m pytest benches --benchmark-only --benchmark-autosave -o addopts= -p no:xdist

# headrace beside its peers, in one sitting: about an hour on a machine that does nothing else.
bench-peers:
	$(PYTHON) benches/side_by_side/run.py

# headrace serve beside litellm's proxy and FastAPI: some ten minutes on a machine that does nothing else.
bench-serving: setup $(PROXY)
	cargo build --locked --release -p headrace-simulator
	$(BIN)/python benches/serving/run.py

# headrace bench beside vllm's, sglang's, guidellm and aiperf, against the truth: some ten minutes.
bench-tools: setup
	$(BIN)/python benches/tools/run.py

# A thousand clients for ten minutes, each text checked.
soak-serving: setup
	cargo build --locked --release -p headrace-simulator
	$(BIN)/python benches/serving/soak.py

# Instructions of the hot path, which the machine's noise hardly moves: about seven minutes. Needs valgrind.
bench-instructions: setup
	cargo build --locked --release -p headrace-benches --bin hot-path
	$(BIN)/python benches/instructions/run.py

# Looks for bytes that make the decoders panic, or that depend on how they are cut: a target for each dialect, one that
# compares cuts, and one that compares our reader of HTTP/1.1 with hyper's. Needs clang's runtime, which Rust brings; the variable lets a stable Rust use the sanitizers.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := openai_chat openai_responses anthropic gemini ollama cohere bedrock splits http1 requests
FUZZ_SEEDS = $(CURDIR)/$(if $(filter http1 requests,$(1)),rust/fuzz/seeds/$(1),tests/conformance/$(if $(filter openai_chat splits,$(1)),openai,$(1)))
fuzz: $(FUZZ_TARGETS:%=fuzz-%)

fuzz-%: target/cargo-fuzz/bin/cargo-fuzz
	mkdir -p rust/fuzz/corpus/$*
	RUSTC_BOOTSTRAP=1 PATH="$(CURDIR)/target/cargo-fuzz/bin:$$PATH" cargo fuzz run --fuzz-dir rust/fuzz $* \
	  rust/fuzz/corpus/$* $(call FUZZ_SEEDS,$*) -- -max_total_time=$(FUZZ_SECONDS) -max_len=16384

target/cargo-fuzz/bin/cargo-fuzz:
	cargo install cargo-fuzz --locked --quiet --root target/cargo-fuzz

# The documentation as a site, in target/site: once its tools are installed, without the network. And that of the crates.
docs: .venv-docs/done
	.venv-docs/bin/mkdocs build --quiet
	cargo doc --locked --quiet --workspace --no-deps

.venv-docs/done: constraints-docs.txt
	$(PYTHON) -m venv .venv-docs
	env -u PIP_CONSTRAINT .venv-docs/bin/python -m pip install --quiet -r constraints-docs.txt
	touch $@

# headrace.ray on a Ray of this machine, in an environment of its own.
test-ray: setup .venv-ray/done
	PYTHONPATH=python:tests .venv-ray/bin/python -m pytest -q -o addopts=--import-mode=importlib -p no:cacheprovider tests/on_ray

.venv-ray/done:
	$(PYTHON) -m venv .venv-ray
	env -u PIP_CONSTRAINT .venv-ray/bin/python -m pip install --quiet 'ray[data,serve]>=2.60' pytest pytest-timeout hypothesis \
	  pillow httpx docstring-parser 'pydantic>=2.12' rich typer typing-extensions
	touch $@

# Wheels for every interpreter that is here, in target/wheels: for any Linux with glibc 2.17, by zig's linker.
WHEEL_PYTHONS ?= $(wildcard $(HOME)/.pyenv/versions/3.1[0-9].*/bin/python)
wheels: .venv-wheels/done
	PATH="$(CURDIR)/.venv-wheels/bin:$$PATH" .venv-wheels/bin/maturin build --release --locked --strip --zig \
	  --compatibility manylinux_2_17 --out target/wheels $(if $(WHEEL_PYTHONS),$(WHEEL_PYTHONS:%=-i %),-i $(PYTHON))
	.venv-wheels/bin/maturin sdist --quiet --out target/wheels

.venv-wheels/done:
	$(PYTHON) -m venv .venv-wheels
	env -u PIP_CONSTRAINT .venv-wheels/bin/python -m pip install --quiet 'maturin>=1.9' 'ziglang>=0.14'
	touch $@

# Each wheel in an environment with nothing else but what it needs: the quickstart, and the Python tests under every
# interpreter that is here.
test-pythons: wheels
	$(PYTHON) tests/wheels/run.py target/wheels $(WHEEL_PYTHONS)

.venv/maturin:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet maturin
	touch $@

# litellm's proxy, a peer of the tests. Its dependencies and ours do not agree. Without --no-compile it takes twice as long.
$(PROXY):
	$(PYTHON) -m venv .venv-proxy
	env -u PIP_CONSTRAINT .venv-proxy/bin/python -m pip install --quiet --no-compile 'litellm[proxy]>=1.84'

clean:
	rm -rf .venv .venv-proxy .venv-docs .venv-wheels .venv-ray target
