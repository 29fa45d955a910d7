"""The local QStash, judged from outside: by every call of the Python SDK, and by the description of
the API that Upstash publishes."""
