"""The commit-msg hook of pre-commit: refuses a commit whose subject is longer than 72 characters."""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 72

subject = Path(sys.argv[1]).read_text(encoding="utf-8").partition("\n")[0]
if len(subject) > LIMIT:
    sys.exit(f"The subject has {len(subject)} characters, the limit is {LIMIT}. Move the details into the body.")
