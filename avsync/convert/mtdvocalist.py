"""The published MTDVocaLiST checkpoint (pure_MTDVocaLiST.pth) -> ours.

Its layout is VocaLiST's, its input is not: RGB in 0 to 255, where VocaLiST's is BGR in [0, 1]. The
teacher that was retrained beside it (repro_Vocalist.pth) eats what the student eats; its width is
VocaLiST's.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from avsync.convert.upstream import convert_state
from avsync.convert.vocalist import IGNORED, time_outside, upstream_name
from avsync.tasks.vocalist import MTDVOCALIST, build


def convert(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps an MTDVocaLiST state dict to ours, for RGB in [0, 1] and time on the outer axis.

    RuntimeError names what does not fit.
    """
    with torch.device("meta"):
        model = build(MTDVOCALIST)
    return convert_state(state_dict, model, upstream_name, _to_unit_range, IGNORED)


def _to_unit_range(name: str, tensor: Tensor) -> Tensor:
    tensor = time_outside(tensor)
    return 255 * tensor if name == "visual.blocks.0.conv.weight" else tensor
