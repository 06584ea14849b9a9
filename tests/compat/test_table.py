"""``docs/from-swarms.md``: its tables are made of the code. ``HEADRACE_WRITE_DOCS=1`` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from headrace.compat import swarms

PAGE: Final = Path(__file__).parents[2] / "docs" / "from-swarms.md"
MARKS: Final = ("<!-- tables -->", "<!-- end of the tables -->")


def tables() -> str:
    lines = ["## The keywords of `Agent`", "", "| keyword | | what it does here |", "|---|---|---|"]
    for name, keyword in swarms.KEYWORDS.items():
        lines.append(f"| `{name}` | {'works' if keyword.works else 'no effect'} | {keyword.note} |")
    lines += ["", "## Names", "", "| name | | |", "|---|---|---|"]
    own = ("KEYWORDS", "MISSING", "Keyword", "SwarmsCompatWarning")
    lines += [f"| `{name}` | works | |" for name in swarms.__all__ if name not in own]
    lines += [f"| `{name}` | missing | use {instead} |" for name, instead in swarms.MISSING.items()]
    return "\n".join(lines)


def test_the_page_has_the_tables_of_the_code() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    page = f"{before}{MARKS[0]}\n\n{tables()}\n\n{MARKS[1]}{after}"
    if os.environ.get("HEADRACE_WRITE_DOCS"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, "run `HEADRACE_WRITE_DOCS=1 pytest tests/compat/test_table.py`"
