"""The `avsync` command: `main` dispatches to one function per sub-command.

from avsync.cli import main

exit_code = main(["check", "video.mp4"])
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
