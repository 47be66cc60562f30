"""Features as a safetensors file that grows while they are computed, and is whole or not there."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from avsync.atomic import replacing

FEATURES, TIMES = "features", "times_s"


class FeatureFile:
    """Writes `features` `(n, D)` float32 and `times_s` `(n,)` float64, in seconds, to one file.

    Rows wait on disk beside it, so hours need no memory; `finish` puts the file in its place.

    Args:
        path: the file, replaced.
        about: what the features are of, kept in the file's header.
    """

    def __init__(self, path: Path, about: Mapping[str, str]) -> None:
        self.path, self.about = path, dict(about)
        self.times: list[np.ndarray] = []
        self.dim = 0
        self._rows = path.with_name(f".{path.name}.rows")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._rows.write_bytes(b"")

    def __enter__(self) -> "FeatureFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rows.unlink(missing_ok=True)

    def append(self, times_s: np.ndarray, features: np.ndarray) -> None:
        """Appends vectors `(n, D)` with their times `(n,)`; D is that of the first ones."""
        self.dim = self.dim or features.shape[-1]
        if features.shape != (len(times_s), self.dim):
            raise ValueError(f"features must be ({len(times_s)}, {self.dim}), got {features.shape}")
        self.times.append(times_s)
        # Opened anew each time: a film has more tracks than a process may have files open.
        with open(self._rows, "ab") as file:
            file.write(np.ascontiguousarray(features, "<f4").data)

    @property
    def length(self) -> int:
        return sum(map(len, self.times))

    def finish(self) -> None:
        """Writes the file."""
        times = np.concatenate([np.zeros(0), *self.times]).astype("<f8")
        entries = {
            TIMES: ("F64", [len(times)], times.nbytes),
            FEATURES: ("F32", [len(times), self.dim], 4 * len(times) * self.dim),
        }
        header: dict[str, object] = {"__metadata__": self.about}
        at = 0
        for name, (dtype, shape, size) in entries.items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
            at += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with replacing(self.path) as beside, open(beside, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text + times.tobytes())
            with open(self._rows, "rb") as rows:
                shutil.copyfileobj(rows, file)
