"""Corpora as they are distributed: lists of videos, transcripts, and audio files to mix with.

`list_lrs2` and `list_acappella` list the videos of a corpus, `read_transcript` reads transcripts of
GRID, LRS2 and LRS3, `list_audio_files` and `list_mir1k` list music and voices.

    from pathlib import Path

    from avsync.data.corpora import list_lrs2

    for video in list_lrs2(Path("mvlrs_v1")):
        print(video.split, video.path)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
