"""The commands a person types on the device: one module a command, imported only when that command runs."""
