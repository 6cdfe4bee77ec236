"""Inside a model's own process: llama.cpp, one thread that asks it, and whose request is computed next. Nothing else imports this package.

`child` is the process, `engine` its loop, `batching` and `prefixes` what it decides (pure), `api` the one module that calls llama.cpp.
"""
