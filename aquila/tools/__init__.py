"""Tools: functions the model may call, the box that runs them, and the pause for a person's word."""

from aquila.tools.approval import PauseState, check_json, read_approvals, read_state
from aquila.tools.context import Context, ToolOutput
from aquila.tools.declare import Tool, tool
from aquila.tools.failures import Failures
from aquila.tools.repetition import Repetition
from aquila.tools.toolbox import Toolbox

__all__ = [
    "Context",
    "Failures",
    "PauseState",
    "Repetition",
    "Tool",
    "ToolOutput",
    "Toolbox",
    "check_json",
    "read_approvals",
    "read_state",
    "tool",
]
