"""Cache of a frozen encoder's tokens for each clip: encoded once and mapped from disk afterwards.

FOLDER/MODEL/CLIP.npy holds tokens `(T, D)` in half precision. Both names are hashes of contents, of
the encoder's weights and of the crops, so that nothing stale is read and nothing is encoded twice.
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

# Frames that go through an encoder together, and frames of context on either side: our encoders
# have a receptive field of at most 19 frames to each side.
BLOCK, CONTEXT = 200, 25
HASH_DIGITS = 32


class FeatureCache:
    """Tokens of clips by a frozen encoder, one for each frame.

    A clip is encoded as a whole: a frame's token depends on frames beyond the ends of a chunk that
    is cut later, which an encoder that gets the chunk alone would not see.

    Args:
        folder: holds the files.
        model: hash of the encoder, from `encoder_key`.
        spec: geometry of the crops.
    """

    def __init__(self, folder: str | Path, model: str, spec: SeparationSpec) -> None:
        self.folder, self.spec = Path(folder) / model, spec
        self.files, self.known = ArrayFiles(), dict[str, str]()

    def fill(
        self, crops: Iterable[str], encode: Callable[[Tensor], Tensor], device: torch.device
    ) -> int:
        """Encode the clips that are not in the cache, and return how many these were.

        Args:
            crops: .npy files of crops `(T, S, S, 3)` uint8.
            encode: maps frames `(1, 3, T, H, W)` in [0, 1] to tokens `(1, T, D)`.
            device: of the frames.

        Raises:
            RuntimeError: a token is out of the range of half precision.
            ValueError: `encode` does not return one token for each frame.
        """
        encoded = 0
        for path in crops:
            target = self._path(path)
            if not target.is_file():
                tokens = _encode(self.spec, path, encode, device)
                with replacing(target) as temporary:
                    np.save(temporary, tokens)
                encoded += 1
            self.known[path] = str(target)
        return encoded

    def tokens(self, crops: str, start: int, count: int) -> np.ndarray:
        """Return tokens `(count, D)` float16 from frame `start` on of a file given to `fill`."""
        return self.files.items(self.known[crops], start, start + count)

    def _path(self, crops: str) -> Path:
        spec = self.spec
        content = f"{sha256_of(crops)} {spec.crop} {spec.height}x{spec.width} {spec.lower_half}"
        return self.folder / f"{hashlib.sha256(content.encode()).hexdigest()[:HASH_DIGITS]}.npy"


def encoder_key(encoder: nn.Module, about: Mapping[str, Any]) -> str:
    """Hash an encoder's weights and the arguments that it was built with."""
    digest = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:HASH_DIGITS]


@torch.inference_mode()
def _encode(
    spec: SeparationSpec, path: str, encode: Callable[[Tensor], Tensor], device: torch.device
) -> np.ndarray:
    crops = map_items(path)
    blocks = []
    for start in range(0, len(crops), BLOCK):
        low, high = max(0, start - CONTEXT), min(len(crops), start + BLOCK + CONTEXT)
        block = np.ascontiguousarray(fit_crops(spec, crops[low:high]))
        # A writable copy: torch does not take arrays that are mapped read-only.
        frames = torch.from_numpy(block.copy()).to(device).permute(3, 0, 1, 2)[None]
        tokens = encode(frames.contiguous().float().div_(255))
        if tokens.shape[:2] != (1, high - low):
            raise ValueError(
                f"encode must give a token for each of {high - low} frames, "
                f"got {tuple(tokens.shape)}"
            )
        blocks.append(tokens[0, start - low : start - low + BLOCK].half().cpu().numpy())
    encoded = np.ascontiguousarray(np.concatenate(blocks))
    if not np.isfinite(encoded).all():
        raise RuntimeError(f"tokens of {path} are beyond half precision: the encoder is damaged")
    return encoded
