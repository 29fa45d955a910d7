"""The command line. A command is imported once it is called: those that only call a service do not
wait for the modules of the service."""

from importlib import import_module

import click

from entrypoints import __version__
from entrypoints.ctrl_c import raise_at_ctrl_c
from entrypoints.loading import no_garbage_collection
from entrypoints.outgoing_proxies import bypass_proxies

SERVERS = ("serve", "local-qstash")
COMMANDS = {
    "ask": "ask.command:ask_command",
    "backup": "data_commands:backup_command",
    "cancel": "task_commands.manage:cancel_command",
    "config": "service_commands:config_command",
    "delete": "task_commands.manage:delete_command",
    "doctor": "service_commands:doctor_command",
    "follow": "task_commands.follow:follow_command",
    "key": "key_commands:key_group",
    "local-qstash": "service_commands:local_qstash_command",
    "login": "task_commands.login:login_command",
    "logout": "task_commands.login:logout_command",
    "migrate": "data_commands:migrate_command",
    "retry": "task_commands.manage:retry_command",
    "serve": "service_commands:serve_command",
    "show": "task_commands.manage:show_command",
    "tasks": "task_commands.tasks:tasks_command",
    "usage": "task_commands.usage:usage_command",
    "webhook": "webhook_commands:webhook_group",
}
"""The module in this package, and the name in it, of each command."""


class LazyGroup(click.Group):
    """The commands in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        with no_garbage_collection():
            command: click.Command = getattr(import_module(f"entrypoints.{module}"), name)
        return command


@click.group(cls=LazyGroup)
@click.version_option(__version__)
@click.pass_context
def main(context: click.Context) -> None:
    """Run long LLM tasks behind a queue and follow them live."""
    if context.invoked_subcommand not in SERVERS:
        raise_at_ctrl_c()
    bypass_proxies()


if __name__ == "__main__":
    main()
