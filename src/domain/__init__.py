"""The task lifecycle and its events: pure values and rules, standard library only."""
