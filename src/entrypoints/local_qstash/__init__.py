"""A server that speaks QStash's HTTP API, v2, for development and tests.

In memory: what it holds is gone when it stops. It is not for production, and knows neither
schedules, URL groups nor the event log.
"""
