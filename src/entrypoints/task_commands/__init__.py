"""The commands that manage tasks at a running service, and the login that they share."""
