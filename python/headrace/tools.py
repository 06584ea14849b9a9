"""Tools: Python functions that a model may call.

:func:`as_tool` makes a :class:`Tool` of a function: its signature and docstring become the JSON schema that the model
gets. A :class:`Toolbox` has the tools that a model may call, and runs its tool calls. ``Agent(tools=[…])`` does both.
"""

from ._tools.tool import Approve, Tool, ToolErrorKind, ToolResult, as_tool
from ._tools.toolbox import Toolbox

__all__ = ["Approve", "Tool", "ToolErrorKind", "ToolResult", "Toolbox", "as_tool"]
