"""Addresses that more than their own route must know."""

import re

TASKS_PATH = "/api/tasks"
ME_PATH = "/api/me"
STREAM_PATH = f"{TASKS_PATH}/stream"
USAGE_PATH = "/api/usage"
CHAT_PATH = "/api/chat"
WEBHOOK_PATH = "/api/qstash/webhook"
FAILURE_PATH = "/api/qstash/failure"
STREAM_REQUEST = re.compile(rb"GET [^ ]*(?:/stream|/events|[?&]stream=true)(?![^ ?&/])")
"""Matches the heads of the requests that open a stream, without a look at their routes."""
