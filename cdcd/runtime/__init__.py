"""Where everything meets: the pipeline of a link, its life, and the daemon around all links.

``pipeline`` is one run of a link. ``link`` connects it, claims the checkpoint, and is the one place that
decides between retry and stop, by the error's own policy. Recovery is a restart: whatever was lost, the next
run takes the link over from its checkpoint, the same way after a crash and after a hiccup. ``daemon`` has
the signals, the listener and systemd's protocol. ``precheck`` asks the servers what would go wrong.
"""
