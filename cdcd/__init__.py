"""cdcd keeps MySQL-protocol databases in step by reading one server's log and applying it to another.

A link is one way and data never flows back::

    source.stream -> binlog.decoder -> route -> batch -> apply: N writers -> target
      socket          compiled         which     net       marker row + rows, COMMIT
                                       tables    changes

``runtime.pipeline`` is the one place where the stages meet. Every target transaction begins with the
link's marker row (``checkpoint``), which is at once the loop guard of the reverse link and the durable
position of this one. An active-active pair is two links.
"""

__version__ = "0.1.0"
