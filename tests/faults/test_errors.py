"""The tree of errors: their base classes, and pickling."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import headrace
from headrace import ConfigurationError, HeadraceError, RateLimitError, StreamError, errors
from support.harness import Reader, Simulate, agent_at

CLASSES = [getattr(errors, name) for name in errors.__all__]
STREAM_ERRORS = [kind for kind in CLASSES if issubclass(kind, StreamError)]
OTHERS = [kind for kind in CLASSES if not issubclass(kind, StreamError)]
DETAILS = {
    "status": 429,
    "code": "slow_down",
    "retry_after": 1.5,
    "request_id": "req-7",
    "body": "{}",
    "model": "openai/sim",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_one_of_headrace_and_public(kind: type[HeadraceError]) -> None:
    assert issubclass(kind, HeadraceError)
    assert kind.__module__ == "headrace.errors"
    assert getattr(headrace, kind.__name__) is kind


@pytest.mark.parametrize("kind", STREAM_ERRORS)
def test_an_error_of_a_stream_may_have_no_details(kind: type[StreamError]) -> None:
    error = kind("It broke.")
    assert str(error) == "It broke."
    assert {name: getattr(error, name) for name in DETAILS} == dict.fromkeys(DETAILS)
    assert error.state in {"truncated", "rejected", "error", "transport", "timeout", "protocol", "failed"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", STREAM_ERRORS)
def test_an_error_of_a_stream_survives_pickling(kind: type[StreamError], protocol: int) -> None:
    error = kind("It broke.", **DETAILS)  # type: ignore[arg-type]
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert str(again) == "It broke."
        assert {name: getattr(again, name) for name in DETAILS} == DETAILS
        assert again.state == error.state


@pytest.mark.parametrize("kind", OTHERS)
def test_the_other_errors_survive_pickling(kind: type[HeadraceError]) -> None:
    again = pickle.loads(pickle.dumps(kind("It broke.")))
    assert (type(again), str(again)) == (kind, "It broke.")


def test_an_error_of_a_run_can_be_raised_from_another_process(simulate: Simulate) -> None:
    fault = {"kind": "status", "status": 429, "headers": {"retry-after": "3"}}
    url = simulate(fault=fault).base_url
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(RateLimitError) as caught:
        pool.submit(run_agent, url).result()
    assert (caught.value.status, caught.value.retry_after, caught.value.request_id) == (429, 3, "req-0")


def run_agent(url: str) -> str:
    return "".join(agent_at(url).run_stream("Go."))


def test_the_state_of_an_error_is_kept_when_it_is_pickled(simulate: Simulate, reader: Reader) -> None:
    # The same class has the state "rejected" or "error".
    for fault, state in [({"kind": "status"}, "rejected"), ({"kind": "error"}, "error")]:
        error = reader.read(agent_at(simulate(fault=fault))).error
        assert isinstance(error, StreamError)
        assert (error.state, pickle.loads(pickle.dumps(error)).state) == (state, state)


def test_timeouts_are_also_pythons_timeout_errors() -> None:
    timeouts = [kind for kind in STREAM_ERRORS if issubclass(kind, TimeoutError)]
    assert {kind.__name__ for kind in timeouts} == {
        "StreamTimeoutError",
        "ConnectTimeoutError",
        "FirstTokenTimeoutError",
        "IdleTimeoutError",
        "PoolTimeoutError",
        "TotalTimeoutError",
    }


def test_errors_of_configuration_are_no_errors_of_a_stream() -> None:
    assert {kind.__name__ for kind in CLASSES if issubclass(kind, ConfigurationError)} == {
        "ConfigurationError",
        "MissingKeyError",
        "UnsupportedRequestError",
        "ForkedError",
    }
