"""Trims a conversation to a model's context window."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import ConfigurationError

from .parts import calls_of, parts_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.types import Message

__all__ = ["estimate_tokens", "fit", "without_middle"]

_TOKENS_PER_MESSAGE = 4
_BYTES_PER_TOKEN = 4
_TOKENS_PER_MEDIUM = 1600

_SYSTEM_ROLES = ("system", "developer")


def estimate_tokens(message: Message) -> int:
    """Estimates how many of the model's tokens a message takes, without a tokenizer and in microseconds.

    The estimate is one token for each four bytes of UTF-8, rounded up, which suits English prose; plus four tokens per
    message; plus 1600 tokens for each image or other medium, about the cost of a large image. Code and numbers take
    more tokens than estimated, so leave a reserve, or pass the model's own count to :func:`fit`.

    Args:
        message: A chat message in OpenAI's form.

    Returns:
        The estimate, in tokens.

    Example:
        >>> from headrace.memory import estimate_tokens
        >>> estimate_tokens({"role": "user", "content": "How high is the old mill?"})
        11
    """
    optional = [text_of(part) for part in parts_of(message)]
    texts = [text for text in optional if text is not None]
    texts += [message.get(member) or "" for member in ("name", "refusal", "reasoning_content")]
    size = sum(len(text.encode(errors="surrogatepass")) for text in [*texts, *calls_of(message)])
    return _TOKENS_PER_MESSAGE + -(-size // _BYTES_PER_TOKEN) + _TOKENS_PER_MEDIUM * optional.count(None)


def fit(
    messages: Sequence[Message],
    context_length: int,
    *,
    reserve: int = 0,
    count: Callable[[Message], int] = estimate_tokens,
) -> list[Message]:
    """Trims a conversation to a model's context window.

    Three parts are always kept:

    - the system (or developer) messages at the beginning,
    - the last user message,
    - the last step: the last message or, if that is a tool result, the tool call with all its results.

    The other messages are removed, oldest first, until the rest fits. First whole exchanges are removed: a user message
    and everything up to the next user message. When only the last exchange remains, its steps are removed: an answer,
    or a tool call with all its results. So a tool call and its results are always kept or removed together.

    Messages that providers refuse are removed even if there is room: a tool result without its call, and a tool call
    that lacks a result, together with the results that it has.

    Args:
        messages: The conversation, oldest first.
        context_length: The model's context window, in tokens.
        reserve: How many of these tokens to leave free, for the answer and for the schemas of tools.
        count: A function that returns how many tokens a message takes. It is called once per message.

    Returns:
        The remaining messages, in order, in a new list. Trimming that list again changes nothing.

    Raises:
        ConfigurationError: The parts that are always kept do not fit.

    Example:
        >>> from headrace.memory import fit
        >>> messages = [
        ...     {"role": "system", "content": "Be brief."},
        ...     {"role": "user", "content": "How high is the mill?"},
        ...     {"role": "assistant", "content": "Five metres."},
        ...     {"role": "user", "content": "And the wheel?"},
        ... ]
        >>> [message["content"] for message in fit(messages, 20)]
        ['Be brief.', 'And the wheel?']
    """
    groups = _groups(messages)
    sizes = [sum(map(count, group.messages)) for group in groups]
    excess = sum(sizes) + reserve - context_length
    remaining: list[Message] = []
    for group, size in zip(groups, sizes, strict=True):
        if excess > 0 and not group.required:
            excess -= size
        else:
            remaining += group.messages
    if excess > 0:
        raise ConfigurationError(
            f"the conversation is {excess} tokens too long for the context of {context_length} (with {reserve} of them "
            f"reserved), although only the system prompt, the last user message and the last step are left: shorten "
            f"these, or use a model with a longer context"
        )
    return remaining


def without_middle(text: str, tokens: int) -> str:
    """Cuts a text to a number of tokens: the middle is left out, and a note in its place tells how much that is.

    Args:
        text: The text.
        tokens: How many tokens it may have, at four bytes a token.

    Returns:
        The same text if it is not longer, else its beginning and its end, with the note, which is not counted.
    """
    data = text.encode(errors="surrogatepass")
    size = tokens * _BYTES_PER_TOKEN
    if len(data) <= size:
        return text
    # Characters that are cut in half are left out.
    begin, end = data[: size - size // 2].decode(errors="ignore"), data[len(data) - size // 2 :].decode(errors="ignore")
    note = f"[… {len(text) - len(begin) - len(end)} of {len(text)} characters were left out here: ask for less …]"
    return f"{begin}\n{note}\n{end}"


class _Group(NamedTuple):
    """Messages that are kept or removed together."""

    messages: list[Message]
    required: bool


def _groups(messages: Sequence[Message]) -> list[_Group]:
    steps = _steps(messages)
    roles = [step[0].get("role") for step in steps]
    head = next((index for index, role in enumerate(roles) if role not in _SYSTEM_ROLES), len(steps))
    last_ask = max((index for index, role in enumerate(roles) if role == "user"), default=-1)
    groups: list[_Group] = []
    for index, step in enumerate(steps):
        if head < index < last_ask and roles[index] != "user":
            groups[-1].messages.extend(step)  # part of the same exchange
        else:
            groups.append(_Group(step, required=index < head or index in (last_ask, len(steps) - 1)))
    return groups


def _steps(messages: Sequence[Message]) -> list[list[Message]]:
    steps: list[list[Message]] = []
    for message in messages:
        if message.get("role") != "tool":
            steps.append([message])
        elif steps:
            steps[-1].append(message)
    return [valid for step in steps if (valid := _valid(step))]


def _valid(step: list[Message]) -> list[Message]:
    """The step without tool results that have no call in it; empty if one of its calls has no result."""
    first, *results = step
    called = {call.get("id") for call in first.get("tool_calls") or ()}
    matching = [result for result in results if result.get("tool_call_id") in called]
    answered = {result.get("tool_call_id") for result in matching}
    return [first, *matching] if answered == called else []
