"""The commands that manage tasks at a running service, and the login that they share."""

from entrypoints.task_commands.follow import follow_command
from entrypoints.task_commands.login import login_command, logout_command
from entrypoints.task_commands.manage import (
    cancel_command,
    delete_command,
    retry_command,
    show_command,
)

TASK_COMMANDS = (
    show_command,
    follow_command,
    cancel_command,
    delete_command,
    retry_command,
    login_command,
    logout_command,
)

__all__ = ["TASK_COMMANDS"]
