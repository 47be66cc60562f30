"""What a frozen encoder sees of each clip, worked out once and mapped from disk ever after.

FOLDER/MODEL/CLIP.npy: tokens `(T, D)` in half precision. Both names are hashes of contents, of the
encoder's weights and of the crops, so that nothing stale is ever read and nothing is made twice.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avsync.atomic import replacing
from avsync.data.sampling.crops import fit_crops
from avsync.data.store.npy_items import ArrayFiles, map_items
from avsync.tasks.separation.input_spec import SeparationSpec
from avsync.weights import sha256_of

# Frames that go through an encoder together, and on either side the frames that they may see: our
# encoders look 19 frames around them at most.
BLOCK, CONTEXT = 200, 25
DIGITS = 32


class FeatureCache:
    """Tokens of clips by a frozen encoder, one for each frame.

    A clip is encoded whole: a frame's token knows what lies beyond the ends of a chunk that is cut
    later, where an encoder that is shown the chunk alone would see nothing.

    Args:
        folder: where they are kept.
        model: hash of the encoder: `encoder_key`.
        spec: geometry of the crops.
    """

    def __init__(self, folder: str | Path, model: str, spec: SeparationSpec) -> None:
        self.folder, self.spec = Path(folder) / model, spec
        self.files, self.known = ArrayFiles(), dict[str, str]()

    def fill(
        self, crops: Iterable[str], encode: Callable[[Tensor], Tensor], device: torch.device
    ) -> int:
        """Encode the crops `(T, S, S, 3)` uint8 of .npy files where that is still to be done, and
        returns for how many it was.

        `encode` maps frames `(1, 3, T, H, W)` in [0, 1] to tokens `(1, T, D)`. RuntimeError where a
        token is beyond half precision; ValueError where there are more or fewer than frames.
        """
        made = 0
        for path in crops:
            target = self._place(path)
            if not target.is_file():
                tokens = _encoded(self.spec, path, encode, device)
                with replacing(target) as beside:
                    np.save(beside, tokens)
                made += 1
            self.known[path] = str(target)
        return made

    def tokens(self, crops: str, start: int, count: int) -> np.ndarray:
        """Tokens `(count, D)` float16 of the crops in a file, from frame `start` on; they were
        encoded by `fill`.
        """
        return self.files.items(self.known[crops], start, start + count)

    def _place(self, crops: str) -> Path:
        spec = self.spec
        said = f"{sha256_of(crops)} {spec.crop} {spec.height}x{spec.width} {spec.lower_half}"
        return self.folder / f"{hashlib.sha256(said.encode()).hexdigest()[:DIGITS]}.npy"


def encoder_key(encoder: nn.Module, about: Mapping[str, Any]) -> str:
    """Return the hash of an encoder: of its weights, and of what its builder was told about it."""
    digest = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:DIGITS]


@torch.inference_mode()
def _encoded(
    spec: SeparationSpec, path: str, encode: Callable[[Tensor], Tensor], device: torch.device
) -> np.ndarray:
    crops = map_items(path)
    blocks = []
    for start in range(0, len(crops), BLOCK):
        low, high = max(0, start - CONTEXT), min(len(crops), start + BLOCK + CONTEXT)
        seen = np.ascontiguousarray(fit_crops(spec, crops[low:high]))
        # A copy that may be written to: torch takes nothing that is mapped to be read only.
        frames = torch.from_numpy(seen.copy()).to(device).permute(3, 0, 1, 2)[None]
        tokens = encode(frames.contiguous().float().div_(255))
        if tokens.shape[:2] != (1, high - low):
            raise ValueError(
                f"encode must give a token for each of {high - low} frames, "
                f"got {tuple(tokens.shape)}"
            )
        blocks.append(tokens[0, start - low : start - low + BLOCK].half().cpu().numpy())
    found = np.ascontiguousarray(np.concatenate(blocks))
    if not np.isfinite(found).all():
        raise RuntimeError(f"tokens of {path} are beyond half precision: the encoder is damaged")
    return found
