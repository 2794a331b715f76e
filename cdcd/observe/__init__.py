"""What an operator sees: logs, status, metrics, health.

Everything here is a reader. ``status.LinkView`` names what a running link shows; nothing in this folder
counts, and no stage imports it. The HTTP listener serves three read-only pages (``pages``) and can change nothing;
where strangers can reach it, they must show a ``token``. ``server`` accepts and bounds connections, ``connection``
has aiohttp speak HTTP on each, one request a connection.
"""
