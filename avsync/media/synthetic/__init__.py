"""Rendered people who speak and sing, their mouths in exact time with their voices."""

from avsync.media.synthetic.clip import SyntheticClip, iter_frames, render
from avsync.media.synthetic.file import render_clip

__all__ = ["SyntheticClip", "iter_frames", "render", "render_clip"]
