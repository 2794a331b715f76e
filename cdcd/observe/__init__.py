"""What an operator sees: logs, status, metrics, health.

Everything here is a reader. ``status.LinkView`` names what a running link shows; nothing in this folder
counts, and no stage imports it. The HTTP listener serves three read-only pages and can change nothing, so
it needs no login; it listens on the loopback address unless the file says otherwise.
"""
