"""Sphinx settings; `make docs` builds the site into `docs/_build`."""

from avsync import __version__

project = "avsync"
release = __version__
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
