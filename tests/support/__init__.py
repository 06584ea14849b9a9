"""What the tests share. No test imports from another test."""

import pytest

# An assertion in these tells as much as one in a test.
pytest.register_assert_rewrite("support.autonomous", "support.harness")
