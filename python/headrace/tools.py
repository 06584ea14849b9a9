"""Tools: Python functions that a model may call.

:func:`as_tool` reads a function's signature and docstring, and makes the JSON schema that the model is given. A
:class:`Toolbox` offers tools to a model and runs the calls that it makes.
"""

from ._tools.tool import Approve, Tool, ToolErrorKind, ToolResult, as_tool
from ._tools.toolbox import Toolbox

__all__ = ["Approve", "Tool", "ToolErrorKind", "ToolResult", "Toolbox", "as_tool"]
