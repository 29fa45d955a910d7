"""A server that speaks QStash's HTTP API, v2, for development and tests.

It keeps messages in memory and loses them when it stops. It is not for production, and has no
schedules, URL groups or event log.
"""
