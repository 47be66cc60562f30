"""`python -m avsync` is the `avsync` command."""

from avsync.cli.dispatch import main

if __name__ == "__main__":
    raise SystemExit(main())
