"""Any 2-D network of timm as a lip encoder: every picture alone, then convolutions over time."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from avsync.encoders.mc3 import fetching

# Pictures that go through the backbone together.
BATCH_FRAMES = 64


class TimmFrameEncoder(nn.Module):
    """Turns a clip of crops into tokens, each from `receptive_frames` neighbouring frames.

    Args:
        dim: width of the tokens.
        backbone: name of an image model in timm.
        size: height and width of the crops, in pixels.
        padded: the window's ends are padded with zeros, which gives one token per frame; otherwise
            there are T - 4, each from its own five frames alone, wherever the clip was cut.
        pretrained: begin with the weights that timm names, which are fetched.
    """

    receptive_frames = 5
    mean: Tensor
    spread: Tensor

    def __init__(
        self,
        dim: int = 512,
        backbone: str = "resnet18",
        size: tuple[int, int] = (48, 96),
        padded: bool = True,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, mean, spread = _of_timm(backbone, size, pretrained)
        self.size, self.padding = size, 1 if padded else 0
        with torch.no_grad():
            width = self.backbone.eval()(torch.zeros(1, 3, *size)).shape[1]
        self.backbone.train()
        self.first = nn.Conv1d(width, dim, 3, padding=self.padding, bias=False)
        self.norm = nn.BatchNorm1d(dim)
        self.second = nn.Conv1d(dim, dim, 3, padding=self.padding)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("spread", torch.tensor(spread).view(3, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Maps RGB frames `(B, 3, T, H, W)` in [0, 1] to tokens `(B, T, dim)`, or `(B, T - 4, dim)`
        where they are not padded.
        """
        return self._tokens(self.pictures(frames))

    def encode_grey(self, grey: Tensor) -> Tensor:
        """Maps grey frames `(B, T, H, W)` in [0, 1] to tokens as `forward` does."""
        return self(repeat(grey, "b t h w -> b c t h w", c=3))

    def pictures(self, frames: Tensor) -> Tensor:
        """Maps RGB frames `(B, 3, T, H, W)` in [0, 1] to the backbone's features `(B, T, F)`."""
        least = 1 if self.padding else self.receptive_frames
        if (
            frames.ndim != 5
            or (frames.shape[1], *frames.shape[3:]) != (3, *self.size)
            or frames.shape[2] < least
        ):
            height, width = self.size
            raise ValueError(
                f"frames must be (B, 3, T >= {least}, {height}, {width}), got {tuple(frames.shape)}"
            )
        x = (rearrange(frames, "b c t h w -> (b t) c h w") - self.mean) / self.spread
        # Statistics of a part would be those of few clips: training takes them of the whole batch.
        batches = (x,) if self.training else x.split(BATCH_FRAMES)
        features = torch.cat([self.backbone(batch) for batch in batches])
        return rearrange(features, "(b t) f -> b t f", b=len(frames))

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Maps frames `(B, 3, T, H, W)` to the tokens `(B, T - length + 1, L, dim)` of every window
        of `length` frames, as `forward` gives them; the backbone sees each picture once.
        """
        if frames.ndim != 5 or frames.shape[2] < length:
            raise ValueError(
                f"frames must be (B, 3, T >= {length}, H, W), got {tuple(frames.shape)}"
            )
        if frames.shape[2] == length:
            # By the module's own call, so that hooks on it see windows that come one by one.
            return self(frames)[:, None]
        features = rearrange(self.pictures(frames).unfold(1, length, 1), "b n f t -> (b n) t f")
        return rearrange(self._tokens(features), "(b n) t d -> b n t d", b=len(frames))

    def _tokens(self, features: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(rearrange(features, "b t f -> b f t"))))
        return rearrange(self.second(x), "b d t -> b t d")


class Backbone(NamedTuple):
    """A network of timm without its classifier, and how the colours of its pictures are scaled."""

    model: nn.Module
    mean: tuple[float, ...]
    spread: tuple[float, ...]


def _of_timm(name: str, size: tuple[int, int], pretrained: bool) -> Backbone:
    try:
        import timm
    except ImportError as error:
        raise RuntimeError("backbones of timm need it: pip install 'avsync[train]'") from error
    if not timm.is_model(name):
        raise ValueError(f"backbone must be a model that timm lists, got {name!r}")
    # Networks that cut a picture into patches must know its size; others do not take it.
    known = timm.get_pretrained_cfg(name)
    sizes: dict[str, Any] = {"img_size": size} if known and known.fixed_input_size else {}
    with fetching(name):
        model: Any = timm.create_model(name, pretrained=pretrained, num_classes=0, **sizes)
    return Backbone(model, model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
