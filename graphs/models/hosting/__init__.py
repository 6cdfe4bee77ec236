"""In the program that runs graphs: the processes that have models loaded, and the memory they share.

`host` has all models, `hosted` is one of them, `process` its child; `seats` says who may be in memory.
"""
