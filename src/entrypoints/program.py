"""The program `longtask`: loads its commands, which takes a second, and runs one."""

import signal


def main() -> None:
    """Run the command line. A Ctrl-C while the commands are loaded ends the process at once: as an
    exception it would show a traceback, or be lost in a module that catches it."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from entrypoints import cli  # noqa: PLC0415  (this is what takes long)

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()
