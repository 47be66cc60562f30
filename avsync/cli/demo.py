"""Demo: render a clip, shift its audio, measure the offset and repair it. Needs no network."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from avsync.atomic import replacing
from avsync.media.writers.remux import shift_audio
from avsync.pipelines.check.check_file import check
from avsync.pipelines.check.messages import describe_outcome
from avsync.pipelines.fix.fix_file import fix
from avsync.report.html import write_report
from avsync.scoring.result import CheckResult
from avsync.synthetic.clip_file import render_clip
from avsync.timing import FRAME_MS, describe_offset

# Five frames: visible to anyone, and outside every tolerance profile.
LEAD_MS = 200.0
CLIP_S = 8.0
SEED = 1


class Demo(NamedTuple):
    """Result of the demo.

    Args:
        before: check of the shifted clip.
        after: check of the repaired clip.
        report: path of the HTML report.
        found: whether the shift was found and repaired to within a frame.
    """

    before: CheckResult
    after: CheckResult
    report: Path
    found: bool


def demo(folder: str | Path = "avsync-demo", say: Callable[[str], None] = print) -> Demo:
    """Render a talking face, shift its audio, check it, fix it and check it again.

    Args:
        folder: output folder; files of an earlier demo in it are replaced.
        say: called with each line of progress.
    """
    folder = Path(folder)
    clip, shifted, fixed = (folder / f"{name}.mp4" for name in ("clip", "shifted", "fixed"))
    report = folder / "report.html"
    say(f"1. Rendering {CLIP_S:g} s of a talking face: {clip}")
    with replacing(clip) as beside:
        render_clip(beside, seed=SEED, duration_s=CLIP_S)
    say(f"2. Shifting its audio, so that the {describe_offset(LEAD_MS)}: {shifted}")
    shift_audio(clip, shifted, -LEAD_MS, overwrite=True)
    say(f"3. avsync check {shifted}")
    before = check(shifted)
    say(f"   {describe_outcome(before)}")
    if before.offset_ms is None:
        write_report(before, report)
        say(f"   The report page: {report}")
        return Demo(before, before, report, found=False)
    say(f"4. avsync fix {shifted} -o {fixed}")
    repaired = fix(shifted, fixed, overwrite=True)
    after = repaired.after or before
    say(f"   moved the audio by {repaired.shift_ms:+.0f} ms, without re-encoding")
    say(f"   {describe_outcome(after)}")
    write_report([before, after], report)
    say(f"5. The report page, for a browser: {report}")
    found = _near(before, LEAD_MS) and _near(after, 0.0)
    say("The shift was found and repaired." if found else "The shift was NOT repaired to a frame.")
    return Demo(before, after, report, found)


def _near(result: CheckResult, offset_ms: float) -> bool:
    return result.offset_ms is not None and abs(result.offset_ms - offset_ms) <= FRAME_MS
