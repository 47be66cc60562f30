"""`python -m avsync` is the `avsync` command."""

from avsync.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
