"""Prompts of a wanted length, without a tokenizer: the server itself says how many tokens a text has."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headrace.errors import ConfigurationError

from .loads import Load
from .prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from .senders import Sender

__all__ = ["Lengths", "Writer", "calibrated", "synthetic_prompts"]

_TEXT: Final = (
    "the of and to in is that for it was on are as with his they at be this from have or by one had not "
    "but what all were when we there can an your which their said if do will each about how up out them "
    "then she many some so these would other into has more her two like him see time could no make than "
    "first been its who now people my made over did down only way find use may water long little very "
    "after words called just where most know "
)
_WORDS: Final = tuple(_TEXT.split())
_FEW: Final = 40
_MANY: Final = 400
_FORMS: Final = "N, LOW-HIGH, normal:MEAN:DEVIATION or lognormal:MEDIAN:SIGMA"


@dataclass(frozen=True, slots=True)
class Lengths:
    """A distribution of lengths, in tokens."""

    draw: Callable[[random.Random], float]

    @classmethod
    def parse(cls, text: str) -> Lengths:
        """Parses ``512``, ``100-900`` (uniform), ``normal:512:100`` or ``lognormal:512:0.5``.

        Raises:
            ConfigurationError: It has another form, or a length below 1.
        """
        try:
            return cls(_drawing(text))
        except ValueError:
            raise ConfigurationError(f"lengths are {_FORMS}, not {text!r}") from None

    def tokens(self, source: random.Random) -> int:
        """One length, at least 1."""
        return max(1, round(self.draw(source)))


def _drawing(text: str) -> Callable[[random.Random], float]:
    kind, _, rest = text.partition(":")
    if rest:
        first, second = map(float, rest.split(":"))
        if first < 1 or second < 0:
            raise ValueError(text)
        if kind == "normal":
            return lambda source: source.gauss(first, second)
        if kind == "lognormal":
            return lambda source: first * source.lognormvariate(0.0, second)
        raise ValueError(text)
    low, dash, high = text.partition("-")
    least, most = int(low), int(high if dash else low)
    if not 1 <= least <= most:
        raise ValueError(text)
    return lambda source: source.randint(least, most)


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes texts of a number of tokens.

    Attributes:
        overhead: The tokens of a request without any words.
        per_word: The tokens of a word.
        counted: Whether the server counts tokens; if not, a word counts as one.
    """

    overhead: float = 0.0
    per_word: float = 1.0
    counted: bool = False

    def write(self, tokens: float, key: object) -> str:
        """A text; the same for the same key."""
        source = random.Random(str(key))  # noqa: S311 - not a secret
        return " ".join(source.choices(_WORDS, k=max(1, round(tokens / self.per_word))))


def calibrated(sender: Sender) -> Writer:
    """A writer that knows how many tokens the server counts for a word, by asking it twice.

    Args:
        sender: Asks the server.

    Returns:
        The writer. If the server does not count, or fails, a word is taken for a token.
    """
    plain = Writer()
    asked = [
        Prompt(({"role": "user", "content": plain.write(words, words)},), (), {"max_tokens": 1})
        for words in (_FEW, _MANY)
    ]
    records = sender.asking(asked).send(Load(concurrency=1, requests=2)).complete
    counts = [record["input_tokens"] for record in records]
    if len(counts) != len(asked) or None in counts or counts[1] <= counts[0]:
        return plain
    per_word = (counts[1] - counts[0]) / (_MANY - _FEW)
    return Writer(max(0.0, counts[0] - _FEW * per_word), per_word, counted=True)


def synthetic_prompts(
    writer: Writer,
    inputs: Lengths,
    outputs: Lengths | None,
    count: int,
    *,
    seed: int = 0,
    prefix_tokens: int = 0,
    prefixes: int = 1,
) -> list[Prompt]:
    """Prompts whose lengths are drawn from distributions. Each is different, so that no cache answers.

    Args:
        writer: Writes the texts.
        inputs: The prompts' lengths, the shared prefix not counted.
        outputs: The answers' lengths at most; None for no limit.
        count: How many prompts.
        seed: The seed of lengths and texts.
        prefix_tokens: The length of a system message that prompts share; 0 for none.
        prefixes: How many different ones there are.
    """
    source = random.Random(seed)  # noqa: S311 - not a secret
    prompts = list[Prompt]()
    for number in range(count):
        tokens = max(1.0, inputs.tokens(source) - writer.overhead)
        messages = [{"role": "user", "content": writer.write(tokens, (seed, "prompt", number))}]
        if prefix_tokens:
            shared = writer.write(prefix_tokens, (seed, "prefix", number % prefixes))
            messages.insert(0, {"role": "system", "content": shared})
        limit = {} if outputs is None else {"max_tokens": outputs.tokens(source)}
        prompts.append(Prompt(tuple(messages), (), limit))
    return prompts
