"""``headrace.testing``, the simulator's Python API. The simulator itself is tested in Rust."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from headrace import ConfigurationError
from headrace.testing import Simulator
from support.harness import PATIENCE, Simulate, agent_at, count_descriptors, count_threads, needs_proc, run_python


def test_the_example_of_its_documentation() -> None:
    with Simulator(turns=[{"text": "Hello, world."}]) as simulator:
        assert agent_at(simulator).run("Say hello.") == "Hello, world."
        assert simulator.report()["requests"][0]["body"]["model"] == "sim"


@pytest.mark.parametrize(
    ("script", "member"),
    [
        ({"turns": [{"text": 7}]}, "turns[0].text"),
        ({"turns": [{"txt": "a"}]}, "turns[0]"),
        ({"turns": [{"fault": {"kind": "no such"}}]}, "turns[0].fault"),
        ({"pacing": {"mode": "steady", "size": 3}}, "pacing"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_the_error_for_a_wrong_script_names_the_member(script: dict[str, Any], member: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Simulator(**script)
    assert member in str(caught.value)


def test_a_port_that_is_taken_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Simulator(port=taken.getsockname()[1])


def test_a_stopped_simulator_has_closed_its_port_and_its_connections(simulate: Simulate) -> None:
    simulator = simulate("a b", fault={"kind": "stall", "after": 1})
    port = int(simulator.base_url.split(":")[2].split("/")[0])
    stream = agent_at(simulator).run_stream("Go.")
    next(stream)
    simulator.stop()
    simulator.stop()
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        next(stream)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(RuntimeError, match="stopped"):
        simulator.report()


@needs_proc
def test_stopped_simulators_leave_no_threads_and_no_descriptors() -> None:
    with Simulator():
        pass
    before = count_threads(), count_descriptors()
    for _ in range(20):
        with Simulator(workers=2):
            pass
    assert (count_threads(), count_descriptors()) <= before


def test_reset_clears_the_report(simulate: Simulate) -> None:
    simulator = simulate(fault={"kind": "status", "times": 1})
    statuses = []
    for _ in range(2):
        simulator.reset()
        assert simulator.report()["requests"] == []
        with pytest.raises(Exception, match="500"):
            agent_at(simulator).run("Go.")
        statuses.append([request["status"] for request in simulator.report()["requests"]])
    assert statuses == [[500], [500]]


def test_wait_for_returns_whether_the_predicate_became_true(simulate: Simulate) -> None:
    simulator = simulate()
    assert not simulator.wait_for(lambda report: report["requests_seen"] == 1, timeout=0.01)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(simulator.wait_for, lambda report: report["requests_seen"] == 1, PATIENCE)
        agent_at(simulator).run("Go.")
        assert waiting.result()


def test_wait_for_raises_what_its_predicate_raises(simulate: Simulate) -> None:
    with pytest.raises(KeyError, match="no such member"):
        simulate().wait_for(lambda report: bool(report["no such member"]))


@pytest.mark.parametrize("timeout", [-1.0, float("nan")])
def test_wait_for_refuses_an_invalid_timeout(simulate: Simulate, timeout: float) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        simulate().wait_for(lambda _: True, timeout=timeout)


def test_a_report_can_be_read_while_another_thread_waits() -> None:
    # In another process: a deadlock of two threads, one of which holds the GIL, would stop all tests.
    run = run_python(
        """
        import threading
        from headrace.testing import Simulator
        with Simulator() as simulator:
            looking, asking = threading.Event(), threading.Event()

            def predicate(report):
                looking.set()
                asking.wait(0.1)  # lets the other thread run
                return True

            thread = threading.Thread(target=simulator.wait_for, args=[predicate])
            thread.start()
            looking.wait()
            simulator.report()
            simulator.reset()
            thread.join()
        print("fine")
        """
    )
    assert run.stdout == "fine\n"


def test_the_report_is_available_over_http(simulate: Simulate) -> None:
    simulator = simulate()
    root = simulator.base_url.removesuffix("/v1")
    agent_at(simulator).run("Go.")
    assert httpx.get(f"{root}/_report", timeout=PATIENCE).json()["requests_seen"] == 1
    assert httpx.get(f"{simulator.base_url}/models", timeout=PATIENCE).json()["data"][0]["id"] == "sim"


def test_many_workers_serve_many_clients(simulate: Simulate) -> None:
    simulator = simulate([f"{n} " for n in range(50)], workers=2)
    ready = threading.Barrier(8)

    def read(_number: int) -> str:
        ready.wait()
        return "".join(agent_at(simulator).run_stream("Go."))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(8))) == {"".join(f"{n} " for n in range(50))}
