"""Language models behind one interface: llama.cpp in a child process, a scripted one, later any OpenAI-compatible server."""
