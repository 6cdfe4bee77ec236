"""The worker: its offer, scheduling, execution of shipped cut graphs, and the server the link connects to.

Empty on purpose: importing one pure module of this package must not import an impure one.
"""

__distribution__ = "graphferry"
