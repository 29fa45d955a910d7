"""What every command has that is a client of a running service: which service and key, its calls,
the reader of a stream, and what is printed."""
