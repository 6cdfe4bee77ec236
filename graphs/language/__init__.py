"""The language: from a graph's text to a frozen, checked document, and everything that can be done with one without running it.

`load` reads, `check` finds what is wrong, `spec` is what comes out; `cut` makes a graph of a part of one.
"""
