"""The program `longtask`: loads its commands, which takes a second, and runs one."""

from entrypoints.ctrl_c import end_by_ctrl_c


def main() -> None:
    """Run the command line. A Ctrl-C while the commands are loaded ends the process at once."""
    end_by_ctrl_c()
    from entrypoints import cli  # noqa: PLC0415  (this is what takes long)

    cli.main()


if __name__ == "__main__":
    main()
