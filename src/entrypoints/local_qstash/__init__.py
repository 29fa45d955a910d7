"""A server that speaks QStash's HTTP API, v2, for development, tests, and one service on one
machine.

It keeps messages in a file, or in memory, which loses them when it stops. It has no schedules
or event log.
"""
