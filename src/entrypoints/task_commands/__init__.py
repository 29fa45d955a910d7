"""The commands that manage tasks at a running service."""

from entrypoints.task_commands.follow import follow_command
from entrypoints.task_commands.manage import cancel_command, delete_command, show_command

TASK_COMMANDS = (
    show_command,
    follow_command,
    cancel_command,
    delete_command,
)

__all__ = ["TASK_COMMANDS"]
