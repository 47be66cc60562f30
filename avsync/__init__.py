"""avsync: measure and repair the audio-video offset of talking faces, and learn from them.

The public names are listed in `__init__.pyi` and imported when first used, so that `import avsync`
loads neither torch nor PyAV.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
