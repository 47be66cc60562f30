"""Write media files: remux with shifted audio, retime or replace audio, encode video, WAV and mp4.

    from avsync.media.writers import shift_audio

    shift_audio("video.mp4", "fixed.mp4", 120.0)  # audio 120 ms later, without re-encoding

Files are written atomically: complete, or not at all.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
