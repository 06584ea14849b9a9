"""Starts sglang's Rust client, as ``python -m sglang.benchmark.rust_client`` does, without sglang's dependencies."""

import sys
from importlib import import_module

from tools import BENCH

sys.path.insert(0, str(BENCH / "sglang" / "sglang" / "srt" / "rust_extensions"))
import_module("_bench").run_argv(["sglang-bench", *sys.argv[1:]])
