"""Adding token counts."""

from __future__ import annotations

from headrace import Usage


def test_counts_add_up() -> None:
    assert Usage(1, 2, 3, 4, 5) + Usage(10, 20, 30, 40, 50) == Usage(11, 22, 33, 44, 55)


def test_a_count_that_only_one_side_has_is_the_sum() -> None:
    assert Usage(1, None, 3) + Usage(10, 20, None) == Usage(11, 20, 3, None, None)


def test_a_sum_has_no_raw_usage() -> None:
    one = Usage(1, cache_write_tokens=2, raw={"prompt_tokens": 1})
    assert (one + Usage(1, cache_write_tokens=3)).cache_write_tokens == 5
    assert (one + one).raw is None
    assert one == Usage(1, cache_write_tokens=2)
    assert "prompt_tokens" not in repr(one)
