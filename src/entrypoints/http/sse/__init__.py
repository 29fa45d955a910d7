"""Server-Sent Events: how a log is written to a client, and the way that a token takes there."""
