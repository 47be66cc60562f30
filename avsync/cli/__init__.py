"""The `avsync` command: `main` dispatches to one function per sub-command."""
