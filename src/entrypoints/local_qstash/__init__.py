"""A server that speaks QStash's HTTP API, v2, for development, tests, and one service on one
machine.

It keeps what it holds in a file, or in memory, which loses it when it stops; the log is in memory.
docs/local-qstash.md describes it.
"""
