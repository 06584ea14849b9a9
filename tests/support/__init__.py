"""Helpers of the tests. No test imports from another test."""

import pytest

# So a failed assertion in these modules shows its values, as in a test.
pytest.register_assert_rewrite("support.autonomous", "support.harness")
