"""A demonstration on this machine: two private servers, an online shop written at both, and cdcd between.

``bash conf/demo/run`` installs what is missing and runs this package. It judges cdcd from outside: it starts
the installed command, reads its status page, and compares the two sides by itself.

shop      tables, first rows, and the transactions of the shop's clients
writers   clients of one site, in a process of their own
daemon    cdcd on pair.toml
figures   what the screen shows, worked out from the status page
screen    the live display
verdict   are the two sides quiet, and equal row for row?
report    what was found, as text
"""
