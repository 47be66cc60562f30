"""Media files: probe them, read frames and audio on one clock, seek; `writers` writes them.

    from avsync.media import probe_media, read_audio, read_frames

    info = probe_media("video.mp4")
    for frame in read_frames("video.mp4"):
        print(frame.time_s, frame.image.shape)
    for block in read_audio("video.mp4", info.video_start_s):
        print(block.shape)

Times are seconds on the clock of the file's presentation timestamps, which continues where the
file's own leaps (`clock.py`). `ReadLog` records what a reader met on its way. Quirks of timestamps
are handled here and nowhere else: those of video, AVI among them, in `video_reader.py`; those of
audio (start times, priming, gaps, jumps) in `audio_reader.py`; those of written files in `writers`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
