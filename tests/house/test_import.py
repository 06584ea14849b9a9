"""``import headrace``: what it loads, what it starts, and what it names."""

from __future__ import annotations

import sys

from support.harness import REPOSITORY, run_python

HEAVY = {"litellm", "pydantic", "rich", "typer", "xllamacpp", "httpx", "aiohttp"}


def test_importing_headrace_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by("headrace")


def test_importing_what_else_is_public_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by(
        "headrace.sse",
        "headrace.decoding",
        "headrace.testing",
        "headrace.local",
        "headrace.errors",
        "headrace.models",
    )


def test_importing_headrace_starts_no_thread_and_says_nothing() -> None:
    run = run_python("import headrace, os; print(len(os.listdir('/proc/self/task')) if os.path.exists('/proc') else 1)")
    assert (run.returncode, run.stdout, run.stderr) == (0, "1\n", "")


def loaded_by(*modules: str) -> set[str]:
    """The top-level packages that importing these modules loads in a fresh process."""
    run = run_python(f"import {', '.join(modules)}, sys; print(*sys.modules)")
    assert run.returncode == 0, run.stderr
    return {name.split(".")[0] for name in run.stdout.split()}


def test_the_public_names_are_there_and_no_others() -> None:
    run = run_python("""
        import headrace
        print(sorted(set(headrace.__all__) - set(dir(headrace))))
        from headrace import *
        print(Agent.__module__)
    """)
    assert run.stdout.split() == ["[]", "headrace.agent"], run.stderr
    assert sys.modules["headrace"].__all__ == sorted(sys.modules["headrace"].__all__)


def test_every_public_module_is_there_without_an_import_of_its_own() -> None:
    package = REPOSITORY / "python" / "headrace"
    public = sorted(path.stem for path in package.glob("*.py") if not path.stem.startswith("_"))
    run = run_python(f"""
        import headrace
        print([name for name in {public} if getattr(headrace, name).__name__ != "headrace." + name])
        print(set({public}) - set(dir(headrace)))
    """)
    assert run.stdout.split() == ["[]", "set()"], run.stderr
