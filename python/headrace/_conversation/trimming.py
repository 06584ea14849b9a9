"""Which messages of a conversation fit into what a model can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import ConfigurationError

from .parts import calls_of, parts_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from headrace.types import Message

__all__ = ["estimate_tokens", "fit"]

_TOKENS_PER_MESSAGE = 4
_BYTES_PER_TOKEN = 4
_TOKENS_PER_MEDIUM = 1600

_SYSTEM_ROLES = ("system", "developer")


def estimate_tokens(message: Message) -> int:
    """Estimates how many tokens a message takes, without a tokenizer and in microseconds.

    A token for every four bytes of UTF-8, rounded up, which suits English prose; four for the message itself; 1600 for
    each image or other medium, which is about what a large image costs. Code and numbers take more
    than this says, so leave a reserve, or give :func:`fit` the model's own count.

    Args:
        message: A chat message as OpenAI writes it.

    Returns:
        The estimate, in tokens.
    """
    texts = [text_of(part) for part in parts_of(message)]
    told = [text for text in texts if text is not None]
    told += [message.get(member) or "" for member in ("name", "refusal", "reasoning_content")]
    size = sum(len(text.encode(errors="surrogatepass")) for text in [*told, *calls_of(message)])
    return _TOKENS_PER_MESSAGE + -(-size // _BYTES_PER_TOKEN) + _TOKENS_PER_MEDIUM * texts.count(None)


def fit(
    messages: Sequence[Message],
    context_length: int,
    *,
    reserve: int = 0,
    count: Callable[[Message], int] = estimate_tokens,
) -> list[Message]:
    """Cuts a conversation to the length that a model can read.

    Three things are always kept: the system (or developer) messages that it begins with, the last user message, and
    the end, which is what the model is to answer: the last message or, if that is a tool's result, the call and all its
    results. Of the rest the oldest goes first, until what remains fits: whole exchanges, each a user message with all
    that follows it up to the next one; and when only the last exchange is left, its steps, each an answer or a tool
    call with all its results. A call and its results thus stay or go together.

    What providers refuse is left out even if there is room: a tool's result without its call, and a call of which a
    result is missing, with the results that it has.

    Args:
        messages: The conversation, oldest first.
        context_length: How many tokens the model can read and write.
        reserve: How many of them to leave free: for the answer, and for the tools' schemas.
        count: Tells how many tokens a message takes. It is called once for each.

    Returns:
        The messages that remain, in order, in a new list. Cutting it again changes nothing.

    Raises:
        ConfigurationError: What is always kept does not fit.
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
            f"reserved), although only the system prompt, the last user message and the last step remain of it"
        )
    return remaining


class _Group(NamedTuple):
    """Messages that stay or go together."""

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
            groups[-1].messages.extend(step)  # the exchange goes on
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
    return [whole for step in steps if (whole := _whole(step))]


def _whole(step: list[Message]) -> list[Message]:
    # The step without results that answer nothing in it; empty if a call is not answered.
    first, *results = step
    called = {call.get("id") for call in first.get("tool_calls") or ()}
    answers = [result for result in results if result.get("tool_call_id") in called]
    answered = {result.get("tool_call_id") for result in answers}
    return [first, *answers] if answered == called else []
