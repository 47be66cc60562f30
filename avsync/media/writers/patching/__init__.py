"""Shift audio by editing a copy of a file: its edit lists, timestamps or samples.

Nothing else of the file changes, so nothing is lost. A file whose structure does not allow it is
remuxed by `avsync.media.writers.remux`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
