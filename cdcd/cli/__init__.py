"""The command line: one module for each subcommand.

A process begins in ``start``; ``main`` reads the arguments and sets the exit status.

stdout is the answer, and nothing else goes there; what went wrong goes to stderr, one line a problem, never a
traceback for an error that cdcd raises on purpose. ``run`` is the exception: its stdout is the log.
"""
