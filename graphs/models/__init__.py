"""Language models behind one interface, whatever answers: llama.cpp in a process of its own, a server, a script.

`interface` says what a model is, and what it is asked; `together` makes several sets of models one. What answers is in packages:
`hosting` (processes with llama.cpp, and the memory they share), `llama` (inside such a process), `openai` (servers), and `scripted`
beside them; `files` are the models themselves. What is left here is common to all or to two of them.
"""
