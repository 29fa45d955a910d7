"""The domain: a task, its lifecycle and its events, as pure values and rules.

Standard library only; no I/O, no clock, no await.
"""
