"""Render people who speak or sing, with lips in exact sync with their voices, and ground truth.

`render_clip` writes a video file whose audio is shifted by a known offset; `render` returns arrays
with the truth about every mouth:

    from avsync.synthetic import render, render_clip

    render_clip("late.mp4", seed=1, duration_s=10, audio_shift_ms=120)
    clip = render(seed=1, duration_s=4, faces=2)
    print(clip.aperture_mm.shape, clip.speaking.any(axis=1))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
