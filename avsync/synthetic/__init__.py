"""Rendered people who speak and sing, their mouths in exact time with their voices."""

from avsync.synthetic.clip import SyntheticClip, iter_frames, render
from avsync.synthetic.file import render_clip

__all__ = ["SyntheticClip", "iter_frames", "render", "render_clip"]
