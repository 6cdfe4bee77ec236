"""What a graph is and how it runs, on either side of the link.

Empty on purpose: importing one pure module of this package must not import an impure one.
"""

__distribution__ = "graphferry"
