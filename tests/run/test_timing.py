"""The timing of a stream: each number, as it is defined."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

import pytest

from support.harness import Reader, Simulate, agent_at, answer_on_demand, serving

if TYPE_CHECKING:
    from headrace import Timing

MS = 1e-3


def timing_of(reader: Reader, simulate: Simulate, text: object, **script: object) -> Timing:
    timing = reader.read(agent_at(simulate(text, **script))).stream.timing
    assert timing is not None
    return timing


def test_every_chunk_has_an_arrival_between_the_request_and_the_end(simulate: Simulate, reader: Reader) -> None:
    before = time.monotonic_ns()
    timing = timing_of(reader, simulate, "one two three", reasoning="Well then.")
    arrivals = timing.arrivals_ns.tolist()
    assert len(arrivals) == timing.chunks == 5
    assert timing.ended_ns is not None
    stamps = [before, timing.opened_ns, *arrivals, timing.ended_ns, time.monotonic_ns()]
    assert stamps == sorted(stamps)
    assert timing.duration == pytest.approx((timing.ended_ns - timing.opened_ns) / 1e9)


def test_time_to_the_first_token_is_counted_from_the_request(simulate: Simulate, reader: Reader) -> None:
    timing = timing_of(reader, simulate, "one two", pacing={"first_ms": 50})
    assert timing.ttft == pytest.approx((timing.arrivals_ns[0] - timing.opened_ns) / 1e9)
    assert (timing.arrivals_ns[0] - timing.opened_ns) / 1e9 >= 50 * MS
    assert timing.ttft_answer == timing.ttft


def test_time_to_the_answer_does_not_stop_at_the_reasoning(simulate: Simulate, reader: Reader) -> None:
    pacing = {"mode": "steady", "interval_ms": 20}
    timing = timing_of(reader, simulate, "one", reasoning="Let me think.", pacing=pacing)
    assert timing.chunks == 4
    assert timing.ttft is not None
    assert timing.ttft_answer == pytest.approx((timing.arrivals_ns[3] - timing.opened_ns) / 1e9)
    assert (timing.arrivals_ns[3] - timing.opened_ns) / 1e9 >= 60 * MS


def test_an_answer_without_text_has_no_time_to_the_answer(simulate: Simulate, reader: Reader) -> None:
    timing = timing_of(reader, simulate, "", tool_calls=[{"name": "now"}])
    assert timing.ttft is not None
    assert timing.ttft_answer is None


def test_time_between_tokens_is_that_between_their_arrivals(simulate: Simulate, reader: Reader) -> None:
    timing = timing_of(reader, simulate, "a b c d e", pacing={"mode": "steady", "interval_ms": 20})
    arrivals = timing.arrivals_ns.tolist()
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    assert timing.itl is not None
    assert timing.itl.count == 4
    # The histogram has three digits.
    assert timing.itl.min == pytest.approx(min(gaps) / 1e9, rel=2e-3)
    assert timing.itl.max == pytest.approx(max(gaps) / 1e9, rel=2e-3)
    assert timing.itl.mean == pytest.approx(sum(gaps) / 4e9, rel=2e-3)
    percentiles = [timing.itl.min, timing.itl.p50, timing.itl.p90, timing.itl.p99, timing.itl.max]
    assert percentiles == sorted(percentiles)


@pytest.mark.parametrize(("usage", "tokens"), [({"output_tokens": 9}, 9), (False, 5)])
def test_time_per_token_counts_what_the_provider_counted(
    simulate: Simulate, reader: Reader, usage: object, tokens: int
) -> None:
    pacing = {"mode": "steady", "interval_ms": 5}
    timing = timing_of(reader, simulate, "a b c d e", usage=usage, pacing=pacing)
    span = (timing.arrivals_ns[-1] - timing.arrivals_ns[0]) / 1e9
    assert timing.tpot == pytest.approx(span / (tokens - 1))


def test_one_token_has_no_time_between_tokens(simulate: Simulate, reader: Reader) -> None:
    timing = timing_of(reader, simulate, ["one"])
    assert (timing.chunks, timing.itl, timing.tpot) == (1, None, None)
    assert timing.lag is not None
    assert timing.lag.count == 1


def test_lag_is_how_long_a_token_waited_for_the_reader(reader: Reader) -> None:
    wanted = threading.Semaphore(0)
    with (
        serving(answer_on_demand(["a", "b"], wanted)) as port,
        reader.start(agent_at(f"http://127.0.0.1:{port}/v1")) as reading,
    ):
        wanted.release()
        reading.take(1)
        wanted.release(2)
        time.sleep(0.02)  # a lag worth measuring
        before = time.monotonic_ns()
        reading.to_end()
        after = time.monotonic_ns()
        timing = reading.stream.timing
    assert timing is not None
    assert timing.lag is not None
    assert timing.lag.count == 2
    at_least, at_most = ((taken - timing.arrivals_ns[1]) / 1e9 for taken in (before, after))
    # The histogram has three digits.
    assert at_least * 0.998 <= timing.lag.max
    assert timing.lag.min <= at_most * 1.002


def test_the_timing_of_a_stream_without_tokens_has_only_an_end(simulate: Simulate, reader: Reader) -> None:
    timing = timing_of(reader, simulate, fault={"kind": "status"}, text="")
    assert (timing.chunks, timing.ttft, timing.itl, timing.lag) == (0, None, None, None)
    assert timing.ended_ns is not None
    assert timing.ended_ns >= timing.opened_ns


def test_timing_does_not_change_after_the_end(simulate: Simulate, reader: Reader) -> None:
    stream = reader.read(agent_at(simulate("one two"))).stream
    assert stream.timing == stream.timing
    first, second = stream.timing, stream.timing
    assert first is not None
    assert second is not None
    assert first.arrivals_ns == second.arrivals_ns
