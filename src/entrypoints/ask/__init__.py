"""`longtask ask`: start a task and print its answer as it arrives.

The text goes to standard output, everything else to standard error. At a terminal it is printed as
it arrives. A file or a pipe gets it once the task has ended: only the text that counts, and nothing
of a lost attempt. After a lost connection it reconnects and continues after the last event that it
received.
"""

from entrypoints.ask.command import ask_command

__all__ = ["ask_command"]
