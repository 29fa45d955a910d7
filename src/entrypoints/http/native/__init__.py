"""The native face, /api/tasks: its routes, what they take and return, and its description."""
