"""Repair files: shift or resample the audio into sync, and check the result before it is kept.

`fix` (`fix_file.py`) checks, plans each audio stream (`plan.py`) and the file (`file_plan.py`),
writes and checks again; `repair_doubt` says why an offset should not be repaired.

    from avsync.pipelines.fix import FixRefused, fix

    try:
        done = fix("video.mp4", "fixed.mp4")
        print(*done.describe(), done.after.offset_ms)
    except FixRefused as refusal:
        print(refusal)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
