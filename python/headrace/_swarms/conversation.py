"""swarms' ``Conversation``: a list of messages, each with the name of who spoke."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["FORMS", "Conversation", "formatted"]


class Conversation:
    r"""What was said, by whom.

    Args:
        id: The conversation's id; None for a new one.
        name: Its name.
        system_prompt: The first message, of the role ``"System"``; None for none.
        time_enabled: Give each message a ``timestamp``.
        autosave: Save after each message.
        save_filepath: Where to save; ``.json`` or ``.yaml``.
        load_filepath: A file to begin with.
        rules: A message of the user after the system prompt; None for none.
        custom_rules_prompt: One more such message.
        user: The user's name.
        message_id_on: Give each message a ``message_id``.
        **others: swarms' other options, which have no effect here.

    Example:
        >>> from headrace.compat.swarms import Conversation
        >>> conversation = Conversation(system_prompt="Be brief.")
        >>> _ = conversation.add("User", "Hello.")
        >>> conversation.get_str()
        'System: Be brief.\n\nUser: Hello.'
    """

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - swarms' name
        name: str | None = "conversation-test",
        system_prompt: str | None = None,
        *,
        time_enabled: bool = False,
        autosave: bool = False,
        save_filepath: str | None = None,
        load_filepath: str | None = None,
        rules: str | None = None,
        custom_rules_prompt: str | None = None,
        user: str = "User",
        message_id_on: bool = False,
        **others: Any,
    ) -> None:
        self.id = id or uuid.uuid4().hex
        self.name = name or self.id
        self.system_prompt = system_prompt
        self.time_enabled = time_enabled
        self.autosave = autosave
        self.save_filepath = save_filepath
        self.user = user
        self.message_id_on = message_id_on
        self.options = others
        self.conversation_history: list[dict[str, Any]] = []
        for role, text in (("System", system_prompt), (user, rules), (user, custom_rules_prompt)):
            if text is not None:
                self.add(role, text)
        if load_filepath is not None:
            self.load(load_filepath)

    # --- adding and changing ------------------------------------------------------------------------------------------

    def add(
        self, role: str, content: Any, metadata: Mapping[str, Any] | None = None, category: str | None = None
    ) -> dict[str, Any]:
        """Adds a message, and returns it."""
        message: dict[str, Any] = {"role": role, "content": content}
        if self.time_enabled:
            message["timestamp"] = datetime.now(timezone.utc).isoformat()
        if self.message_id_on:
            message["message_id"] = str(uuid.uuid4())
        if metadata:
            message["metadata"] = dict(metadata)
        if category:
            message["category"] = category
        self.conversation_history.append(message)
        if self.autosave and self.save_filepath:
            self.export()
        return message

    def add_multiple(self, roles: Iterable[str], contents: Iterable[Any]) -> list[dict[str, Any]]:
        """Adds messages."""
        return [self.add(role, content) for role, content in zip(roles, contents, strict=True)]

    add_multiple_messages = add_multiple

    def batch_add(self, messages: Iterable[dict[str, Any]]) -> None:
        """Adds messages as they are."""
        self.conversation_history.extend(messages)

    def add_tool_output_to_agent(self, role: str, tool_output: Mapping[str, Any]) -> None:
        """Adds the output of a tool."""
        self.add(role, dict(tool_output))

    def delete(self, index: str | int) -> None:
        """Removes a message."""
        del self.conversation_history[int(index)]

    def update(self, index: str | int, role: str, content: Any) -> None:
        """Replaces a message."""
        self.conversation_history[int(index)] = {"role": role, "content": content}

    def clear(self) -> None:
        """Removes all messages."""
        self.conversation_history.clear()

    clear_memory = clear

    def compact(self, summary: str, summary_role: str = "System") -> None:
        """Replaces all messages but the system prompt by a summary."""
        kept = [{"role": "System", "content": self.system_prompt}] if self.system_prompt is not None else []
        self.conversation_history[:] = kept
        self.add(summary_role, summary)

    # --- reading ------------------------------------------------------------------------------------------------------

    def query(self, index: str | int) -> dict[str, Any]:
        """One message."""
        return self.conversation_history[int(index)]

    def search(self, keyword: str) -> list[dict[str, Any]]:
        """The messages that contain a text."""
        return [message for message in self.conversation_history if keyword in str(message["content"])]

    search_keyword_in_conversation = search

    def count_messages_by_role(self) -> dict[str, int]:
        """How many messages each role has."""
        return dict(Counter(str(message["role"]) for message in self.conversation_history))

    def get_str(self) -> str:
        """All messages as text."""
        return "\n\n".join(map(_line, self.conversation_history))

    return_history_as_string = get_str

    def get_last_message_as_string(self) -> str:
        """The last message as ``role: content``."""
        return _line(self.conversation_history[-1]) if self.conversation_history else ""

    get_final_message = get_last_message_as_string

    def get_final_message_content(self) -> Any:
        """The content of the last message."""
        return self.conversation_history[-1]["content"] if self.conversation_history else ""

    def to_list(self) -> list[dict[str, Any]]:
        """All messages."""
        return self.conversation_history

    to_dict = to_list

    def to_json(self) -> str:
        """All messages as JSON."""
        return json.dumps(self.conversation_history, ensure_ascii=False, default=str)

    return_json = to_json

    def to_yaml(self) -> str:
        """All messages as YAML.

        Raises:
            ConfigurationError: PyYAML is not installed.
        """
        text: str = _yaml().safe_dump(json.loads(self.to_json()), sort_keys=False, allow_unicode=True)
        return text

    def return_messages_as_list(self) -> list[str]:
        """Each message as ``role: content``."""
        return [f"{message['role']}: {message['content']}" for message in self.conversation_history]

    def return_messages_as_dictionary(self) -> list[dict[str, Any]]:
        """Each message with its role and content alone."""
        return [{name: message[name] for name in ("role", "content")} for message in self.conversation_history]

    def return_all_except_first(self) -> list[dict[str, Any]]:
        """What follows the system prompt and the task: as in swarms, all but the first two messages."""
        return self.conversation_history[2:]

    def return_all_except_first_string(self) -> str:
        """The contents of these messages, a line for each."""
        return "\n".join(str(message["content"]) for message in self.conversation_history[2:])

    def return_list_final(self) -> list[Any]:
        """The content of the last message, in a list."""
        return [self.get_final_message_content()]

    def return_dict_final(self) -> tuple[Any, Any]:
        """The content of the last message twice, as swarms returns it."""
        return (self.get_final_message_content(), self.get_final_message_content())

    # --- files --------------------------------------------------------------------------------------------------------

    def export(self, force: bool = True) -> None:
        """Saves the messages to ``save_filepath``, as JSON or YAML by its end."""
        del force
        self.export_conversation(self.save_filepath or f"conversation_{self.name}.json")

    save_as_json = export
    save_as_yaml = export

    def export_conversation(self, filename: str) -> None:
        """Saves the messages to a file."""
        is_yaml = filename.endswith((".yaml", ".yml"))
        Path(filename).write_text(self.to_yaml() if is_yaml else self.to_json(), encoding="utf-8")

    def load(self, filename: str) -> None:
        """Reads messages from a file, in place of those that there are."""
        text = Path(filename).read_text(encoding="utf-8")
        read: Any = _yaml().safe_load(text) if filename.endswith((".yaml", ".yml")) else json.loads(text)
        messages = cast("list[dict[str, Any]]", read["conversation_history"] if isinstance(read, dict) else read)
        self.conversation_history = [dict(message) for message in messages]

    import_conversation = load
    load_from_json = load
    load_from_yaml = load


def _line(message: Mapping[str, Any]) -> str:
    when = f"[{message['timestamp']}] " if message.get("timestamp") else ""
    return f"{when}{message['role']}: {message['content']}"


def _yaml() -> Any:
    from importlib import import_module

    try:
        return import_module("yaml")
    except ImportError:
        raise ConfigurationError("YAML needs the package PyYAML: pip install pyyaml") from None


def _xml(conversation: Conversation) -> str:
    from xml.sax.saxutils import escape

    items = (
        f"<message><role>{escape(str(message['role']))}</role><content>{escape(str(message['content']))}</content></message>"
        for message in conversation.conversation_history
    )
    return f"<conversation>{''.join(items)}</conversation>"


FORMS: Final[Mapping[str, Callable[[Conversation], Any]]] = {
    "list": Conversation.return_messages_as_list,
    "dict": Conversation.to_dict,
    "dictionary": Conversation.to_dict,
    "string": Conversation.get_str,
    "str": Conversation.get_str,
    "all": Conversation.get_str,
    "final": Conversation.get_final_message_content,
    "last": Conversation.get_final_message_content,
    "json": Conversation.to_json,
    "yaml": Conversation.to_yaml,
    "xml": _xml,
    "dict-all-except-first": Conversation.return_all_except_first,
    "str-all-except-first": Conversation.return_all_except_first_string,
    "list-final": Conversation.return_list_final,
    "dict-final": Conversation.return_dict_final,
}
"""swarms' output types."""


def formatted(conversation: Conversation, output_type: str) -> Any:
    """A conversation in the form that an output type names.

    Raises:
        ConfigurationError: There is no such form.
    """
    if output_type not in FORMS:
        raise ConfigurationError(f"there is no output_type {output_type!r}; known: {', '.join(FORMS)}")
    return FORMS[output_type](conversation)
