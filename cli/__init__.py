"""The `unlearn-audit` command: one file a command, heavy imports inside the functions."""
