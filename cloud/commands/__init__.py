"""The worker's commands: one module a command, imported only when that command runs."""
