"""The scenarios to catch up with: each a module that declares its tables, their rows and its transactions.

Sizes are such that the server's own serial replication takes some ten seconds on a small machine.
"""
