"""Caches on disk: resampled audio, and tokens of a frozen encoder.

Files are named by a hash of what they are computed from, and are shared by runs and processes.

    from avsync.data.cache import AudioCache
    from avsync.data.corpora import list_audio_files

    cache = AudioCache("cache", sample_rate=16000)
    music = cache.add_file(list_audio_files("music")[0])
    wav = cache.read(music, start=0, count=16000)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
