"""The routes of QStash's HTTP API, v2, one module for each kind of thing."""
