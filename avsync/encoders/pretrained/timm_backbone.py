"""Any image model of timm as a visual encoder: frames one by one, then temporal convolutions."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from avsync.encoders.pretrained.mc3 import explain_download_errors

# Frames that pass the backbone together.
BATCH_FRAMES = 64


class TimmFrameEncoder(nn.Module):
    """timm image model with temporal convolutions: tokens of `receptive_frames` frames each.

    Args:
        dim: width of the tokens.
        backbone: name of an image model in timm.
        size: height and width of the crops, in pixels.
        padded: pad the ends of the window with zeros, which gives one token per frame; otherwise
            there are T - 4 tokens of five frames each, which do not depend on where the clip was
            cut.
        pretrained: start from the weights that timm names, which are downloaded.
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
        self.backbone, mean, spread = _create_backbone(backbone, size, pretrained)
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
        """Map RGB frames to tokens.

        Args:
            frames: RGB frames `(B, 3, T, H, W)` in [0, 1].

        Returns:
            Tokens `(B, T, dim)`, or `(B, T - 4, dim)` if not `padded`.
        """
        return self._tokens(self.frame_features(frames))

    def encode_grey(self, grey: Tensor) -> Tensor:
        """Map grey frames `(B, T, H, W)` in [0, 1] to tokens as `forward` does."""
        return self(repeat(grey, "b t h w -> b c t h w", c=3))

    def frame_features(self, frames: Tensor) -> Tensor:
        """Map RGB frames `(B, 3, T, H, W)` in [0, 1] to the backbone's features `(B, T, F)`."""
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
        # In training batch norm takes its statistics over the whole batch, not over part of it.
        batches = (x,) if self.training else x.split(BATCH_FRAMES)
        features = torch.cat([self.backbone(batch) for batch in batches])
        return rearrange(features, "(b t) f -> b t f", b=len(frames))

    def windows(self, frames: Tensor, length: int) -> Tensor:
        """Encode every window of `length` frames; each frame passes the backbone once.

        Args:
            frames: RGB frames `(B, 3, T, H, W)` in [0, 1].
            length: frames of a window.

        Returns:
            Tokens `(B, T - length + 1, L, dim)`, those of `forward` on each window alone.
        """
        if frames.ndim != 5 or frames.shape[2] < length:
            raise ValueError(
                f"frames must be (B, 3, T >= {length}, H, W), got {tuple(frames.shape)}"
            )
        if frames.shape[2] == length:
            # Through the module's own call, so that forward hooks see single windows.
            return self(frames)[:, None]
        features = self.frame_features(frames).unfold(1, length, 1)
        tokens = self._tokens(rearrange(features, "b n f t -> (b n) t f"))
        return rearrange(tokens, "(b n) t d -> b n t d", b=len(frames))

    def _tokens(self, features: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(rearrange(features, "b t f -> b f t"))))
        return rearrange(self.second(x), "b d t -> b t d")


class Backbone(NamedTuple):
    """A timm model without its classifier, and the mean and std that normalise its input."""

    model: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _create_backbone(name: str, size: tuple[int, int], pretrained: bool) -> Backbone:
    try:
        import timm
    except ImportError as error:
        raise RuntimeError("backbones of timm need it: pip install 'avsync[train]'") from error
    if not timm.is_model(name):
        raise ValueError(f"backbone must be a model that timm lists, got {name!r}")
    # Vision transformers must know the image size; other models do not take it.
    defaults = timm.get_pretrained_cfg(name)
    sizes: dict[str, Any] = {"img_size": size} if defaults and defaults.fixed_input_size else {}
    with explain_download_errors(name):
        model: Any = timm.create_model(name, pretrained=pretrained, num_classes=0, **sizes)
    return Backbone(model, model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
