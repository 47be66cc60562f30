import re
from pathlib import Path

import pytest

from avsync.report import html as page

CSS = (Path(page.__file__).parent / "page.css").read_text("utf-8")


def light(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    bright, dark = sorted((light(first), light(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "raised", "faint"])
def test_words_stand_out_from_their_ground(scheme, ground):
    colours = dict(re.findall(r"--(\w+): (#\w{6})", CSS.split(":root {")[1 + scheme]))
    for words in ("ink", "soft", "good", "bad", "unsure", "broken"):
        least = 4.5 if ground != "faint" else 4.0
        assert contrast(colours[words], colours[ground]) >= least, words
