"""Models behind servers that speak OpenAI's language: `client` asks one, `servers` are those a configuration names.

`xllama_server` starts one on this machine, with llama.cpp in it.
"""
