"""The audit of its stores that every recipe begins with: it warns and refuses nothing."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from avsync.atomic import write_text
from avsync.pipelines.audit.audit_store import audit
from avsync.training.engine.checkpoint import STATE_FILE

AUDIT_FILE = "audit.txt"
# Enough to see what is wrong with a tenth of the clips, in seconds.
CLIPS, MEASURED = 60, 12


def preflight_audit(
    output: Path,
    data: Sequence[Path],
    splits: Path | None = None,
    expected_ms: Sequence[float] = (),
) -> list[str]:
    """Write what is found in the stores to `audit.txt` and warns of what training will suffer
    from; the warnings. A run that goes on from its state was looked at before.

    Args:
        output: folder of the run.
        data: stores of prepared clips.
        splits: of the first of them.
        expected_ms: offset of each store's clips, 0 where not given.
    """
    # Of several processes the first one looks.
    if (output / STATE_FILE).is_file() or int(os.environ.get("RANK", "0")):
        return []
    found = [
        audit(
            path,
            splits=splits if number == 0 else None,
            clips=CLIPS,
            measured=MEASURED,
            corpus_offset_ms=expected_ms[number] if number < len(expected_ms) else 0.0,
        )
        for number, path in enumerate(data)
    ]
    write_text(
        output / AUDIT_FILE, "\n".join(line for each in found for line in each.lines()) + "\n"
    )
    said = [line for each in found for line in each.warnings()]
    for line in said:
        warnings.warn(line, stacklevel=2)
    return said
