"""Audit a store of clips before training: lengths, faces, frames, silence, duplicates, offsets.

from avsync.pipelines.audit import audit

for line in audit("store", clean="clean.csv").lines():
    print(line)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
