"""Addresses that more than their own route must know."""

TASKS_PATH = "/api/tasks"
ME_PATH = "/api/me"
STREAM_PATH = f"{TASKS_PATH}/stream"
USAGE_PATH = "/api/usage"
CHAT_PATH = "/api/chat"
WEBHOOK_PATH = "/api/qstash/webhook"
FAILURE_PATH = "/api/qstash/failure"
