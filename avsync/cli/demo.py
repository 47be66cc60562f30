"""Demo: render a clip, shift its audio, measure the offset and repair it. Needs no network."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from avsync.atomic import replacing, write_text
from avsync.json_files import read_json
from avsync.media.writers.remux import shift_audio
from avsync.outputs import HTML_REPORT, check_output, is_earlier_output, json_kind
from avsync.pipelines.check.check_file import check
from avsync.pipelines.check.messages import describe_outcome
from avsync.pipelines.fix.fix_file import fix
from avsync.report.html import write_report
from avsync.scoring.result import CheckResult
from avsync.synthetic.clip_file import render_clip
from avsync.timing import FRAME_MS, describe_offset
from avsync.weights import sha256_of

# Five frames: visible to anyone, and outside every tolerance profile.
LEAD_MS = 200.0
CLIP_S = 8.0
SEED = 1
# The hashes of the demo's files, by which they are recognised when it runs again.
RECORD = "demo.json"
DEMO_RECORD = json_kind("the record of an avsync demo", "demo", "files")


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


def demo(
    folder: str | Path = "avsync-demo",
    say: Callable[[str], None] = print,
    *,
    overwrite: bool = False,
) -> Demo:
    """Render a talking face, shift its audio, check it, fix it and check it again.

    Args:
        folder: output folder; files of an earlier demo in it are replaced.
        say: called with each line of progress.
        overwrite: replace other files of the same names too.

    Raises:
        OSError: the folder has files of these names that no demo wrote.
    """
    folder = Path(folder)
    videos = clip, shifted, fixed = [
        folder / f"{name}.mp4" for name in ("clip", "shifted", "fixed")
    ]
    report = folder / "report.html"
    _check_folder(videos, report, overwrite)
    say(f"1. Rendering {CLIP_S:g} s of a talking face: {clip}")
    with replacing(clip) as beside:
        render_clip(beside, seed=SEED, duration_s=CLIP_S)
    _write_record([clip])
    say(f"2. Shifting its audio, so that the {describe_offset(LEAD_MS)}: {shifted}")
    shift_audio(clip, shifted, -LEAD_MS, overwrite=True)
    _write_record([clip, shifted])
    say(f"3. avsync check {shifted}")
    before = check(shifted)
    say(f"   {describe_outcome(before)}")
    if before.offset_ms is None:
        write_report(before, report, overwrite=overwrite)
        say(f"   The report page: {report}")
        return Demo(before, before, report, found=False)
    say(f"4. avsync fix {shifted} -o {fixed}")
    repaired = fix(shifted, fixed, overwrite=True)
    _write_record(videos)
    after = repaired.after or before
    say(f"   moved the audio by {repaired.shift_ms:+.0f} ms, without re-encoding")
    say(f"   {describe_outcome(after)}")
    write_report([before, after], report, overwrite=overwrite)
    say(f"5. The report page, for a browser: {report}")
    found = _near(before, LEAD_MS) and _near(after, 0.0)
    say("The shift was found and repaired." if found else "The shift was NOT repaired to a frame.")
    return Demo(before, after, report, found)


def _check_folder(videos: Sequence[Path], report: Path, overwrite: bool) -> None:
    record = report.with_name(RECORD)
    for path, kind in ((report, HTML_REPORT), (record, DEMO_RECORD)):
        check_output(path, kind, overwrite=overwrite)
    hashes = _read_record(record)
    for video in videos:
        if video.exists() and not overwrite and sha256_of(video) != hashes.get(video.name):
            raise FileExistsError(
                f"{video} exists and is not of an earlier demo; choose another folder, or allow to "
                "replace it with overwrite (--overwrite)"
            )


def _write_record(videos: Sequence[Path]) -> None:
    hashes = {video.name: sha256_of(video) for video in videos if video.is_file()}
    text = json.dumps({"demo": CLIP_S, "files": hashes}, indent=1)
    write_text(videos[0].with_name(RECORD), text + "\n")


def _read_record(record: Path) -> dict[str, str]:
    if not record.is_file() or not is_earlier_output(record, DEMO_RECORD):
        return {}
    try:
        return dict(read_json(record)["files"])
    except (ValueError, KeyError, TypeError):
        return {}


def _near(result: CheckResult, offset_ms: float) -> bool:
    return result.offset_ms is not None and abs(result.offset_ms - offset_ms) <= FRAME_MS
