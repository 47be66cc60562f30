"""Separate the voice of each face in a video, or of audio that streams.

`separate` writes WAV files; `separate_blocks` separates blocks of audio of any length with any
separation task, given the faces by `CroppedFaces` or `NoFaces`.

    from avsync.pipelines.separate import separate

    result = separate("duet.mp4", "out", who="left")
    print([voice.file for voice in result.voices])
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
