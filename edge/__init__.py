"""The device: configuration, placement, delegation to a worker, runs, and the commands a user types.

Empty on purpose: importing one pure module of this package must not import an impure one.
"""

__distribution__ = "graphferry"
