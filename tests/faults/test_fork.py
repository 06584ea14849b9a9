"""``os.fork``: the child can stream, the parent's streams go on, and neither hangs."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from support.harness import Simulate, needs_fork, run_python

if TYPE_CHECKING:
    from headrace.testing import Simulator

pytestmark = [
    needs_fork,
    pytest.mark.skipif(sys.platform == "darwin", reason="the system's libraries do not survive a fork"),
]

AROUND = """
import asyncio, gc, os, signal, sys, threading, headrace
agent = headrace.Agent(model_name="openai/sim", llm_base_url=sys.argv[1], print_on=False)

async def collect(task):
    return [token async for token in agent.arun_stream(task)]

def in_child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)  # a child that hangs is killed, and its exit code shows it
        try:
            work()
        except BaseException as error:
            print("the child failed:", repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.fixture
def simulator(simulate: Simulate) -> Simulator:
    pacing = {"mode": "steady", "interval_ms": 5}
    return simulate(["one", "two", "three", "four"], pacing=pacing)


def run(simulator: Simulator, program: str) -> list[str]:
    """The lines that a program prints. It must exit without an error."""
    done = run_python(AROUND + textwrap.dedent(program), simulator.base_url)
    assert (done.stderr, done.returncode) == ("", 0), done.stdout
    return done.stdout.splitlines()


def test_a_child_of_a_parent_that_never_streamed_can_stream(simulator: Simulator) -> None:
    program = """
        print(in_child(lambda: print(list(agent.run_stream("Go.")), flush=True)))
    """
    assert run(simulator, program) == ["['one', 'two', 'three', 'four']", "0"]


def test_a_child_can_stream_when_its_parent_has(simulator: Simulator) -> None:
    program = """
        agent.run("Go.")
        def child():
            print(list(agent.run_stream("Go.")), flush=True)
            print(asyncio.run(collect("Go.")), flush=True)
        print(in_child(child))
        print(list(agent.run_stream("Go.")))
        print(asyncio.run(collect("Go.")))
    """
    answer = "['one', 'two', 'three', 'four']"
    assert run(simulator, program) == [answer, answer, "0", answer, answer]


def test_a_child_does_not_use_its_parents_connections(simulator: Simulator) -> None:
    run(simulator, "agent.run('Go.')\nassert in_child(lambda: agent.run('Go.')) == 0\nagent.run('Go.')")
    requests = simulator.report()["requests"]
    first, second, third = (request["connection"] for request in requests)
    assert first == third != second


# In these tests the child may first get tokens that its parent has already received: they are in the copied memory.


@pytest.mark.parametrize("read", ["while True: next(stream)", "list(stream)"])
def test_the_parents_stream_cannot_be_read_in_the_child(simulator: Simulator, read: str) -> None:
    program = f"""
        stream = agent.run_stream("Go.")
        print(next(stream), flush=True)
        def child():
            try:
                {read}
            except headrace.ForkedError as error:
                print(error, flush=True)
        print(in_child(child))
        print(list(stream), stream.state)
    """
    one, error, code, rest = run(simulator, program)
    assert (one, code, rest) == ("one", "0", "['two', 'three', 'four'] complete")
    assert "os.fork()" in error


def test_the_parents_async_stream_cannot_be_read_in_the_child(simulator: Simulator) -> None:
    program = """
        async def main():
            stream = agent.arun_stream("Go.")
            print(await anext(stream), flush=True)
            def child():
                # The child is inside its parent's running event loop, and cannot use it.
                try:
                    while True:
                        try:
                            stream.__anext__().send(None)
                        except StopIteration:
                            pass  # a token
                except headrace.ForkedError as error:
                    print("ForkedError", flush=True)
            print(in_child(child), flush=True)
            print([token async for token in stream])
        asyncio.run(main())
    """
    assert run(simulator, program) == ["one", "ForkedError", "0", "['two', 'three', 'four']"]


@pytest.mark.parametrize(
    "let_go", ["stream.close()", "del stream; gc.collect()", "stream.text; stream.timing; stream.usage"]
)
def test_a_child_cannot_harm_its_parents_stream(simulator: Simulator, let_go: str) -> None:
    program = f"""
        stream = agent.run_stream("Go.")
        print(next(stream), flush=True)
        def child():
            global stream
            {let_go}
        print(in_child(child))
        print(list(stream), stream.state)
    """
    assert run(simulator, program) == ["one", "0", "['two', 'three', 'four'] complete"]


def test_a_child_may_fork_again(simulator: Simulator) -> None:
    program = """
        agent.run("Go.")
        def child():
            agent.run("Go.")
            assert in_child(lambda: agent.run("Go.")) == 0
            agent.run("Go.")
        print(in_child(child))
        agent.run("Go.")
    """
    assert run(simulator, program) == ["0"]
    assert simulator.report()["requests_seen"] == 5


def test_a_first_run_imports_nothing(simulate: Simulate) -> None:
    # If another thread forks during an import, the child inherits the locked import lock.
    program = """
        import sys
        before = set(sys.modules)
        agent.run("Go.")
        print(sorted(set(sys.modules) - before))
    """
    assert run(simulate("one two", usage=False), program) == ["[]"]


def test_forks_in_the_middle_of_many_streams(simulator: Simulator) -> None:
    program = """
        codes = []
        def read():
            for _ in range(10):
                assert list(agent.run_stream("Go.")) == ["one", "two", "three", "four"]
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            codes.append(in_child(lambda: agent.run("Go.")))
        for thread in threads:
            thread.join()
        print(codes)
    """
    assert run(simulator, program) == [str([0] * 10)]


def test_a_process_pool_of_forks_can_stream(simulator: Simulator) -> None:
    program = """
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        agent.run("Go.")
        with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
            print(list(pool.map(agent.run, ["Go."] * 4)))
    """
    assert run(simulator, program) == [str(["onetwothreefour"] * 4)]
