"""The talking face: from a voice and a face without its mouth to the frame that is spoken.

Wav2Lip (Prajwal et al., ACM Multimedia 2020) drew it, TalkLip (Wang et al., CVPR 2023) and
SyncTalklip let other encoders tell it what is said. Table 2 of SyncTalklip's supplement, where it
contradicts itself, is read as the public code has it: see docs/synctalklip.md.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.conv_block import ConvBlock, conv_block_2d, upsample_block_2d
from avsync.encoders.face_pyramid import SIZE, FacePyramid, residual_block_2d
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS

# Frames that are drawn together.
DRAWN = 32
# What a generator looks at: one whole face crop at a time, with the audio of its frame.
FACE_SPEC = ClipSpec(
    crop="face",
    height=SIZE,
    width=SIZE,
    window_frames=1,
    audio_from_s=0.0,
    audio_until_s=1 / FPS,
)


@dataclass(frozen=True)
class TalkingFaceConfig:
    """Sizes of a generator; those of Wav2Lip, TalkLip and SyncTalklip by default.

    Args:
        channels: widths of the maps of what is seen, from 96x96 to 3x3.
        decoder: widths of the maps that are drawn, from 3x3 and 6x6 to 96x96.
        drawn: width of the map that the pixels are read from.
    """

    channels: tuple[int, int, int, int, int, int] = (16, 32, 64, 128, 256, 512)
    decoder: tuple[int, int, int, int, int] = (512, 384, 256, 128, 64)
    drawn: int = 32


# What a CPU trains in an hour: multiples of 8 where the maps are large, as its convolutions are
# slower with 12 channels than with 16; 16 of 96x96, so that both frames get past the first layer.
SMALL = TalkingFaceConfig((16, 16, 16, 32, 64, 128), (128, 64, 32, 16, 8), 16)


class TalkingFace(Protocol):
    """What every model of a talking face can do; training and `avsync talk` ask for no more."""

    spec: ClipSpec

    def encode_voice(self, wav: Tensor, frames: int) -> Tensor:
        """Map a waveform `(B, N)` at 16 kHz that starts with the first frame to a token for each
        frame `(B, frames, D)`.
        """
        ...

    def __call__(self, tokens: Tensor, faces: Tensor) -> Tensor:
        """Map tokens `(B, D)` and `face_pair`s `(B, 6, 96, 96)` to frames `(B, 3, 96, 96)`."""
        ...


class TalkingFaceGenerator(nn.Module):
    """Draws a face that says what a token says, looks as one frame does and holds itself as
    another whose lower half it never sees.

    Args:
        audio_map: token of the voice `(B, D)` -> `(B, channels[-1])`.
        faces: both frames `(B, 6, 96, 96)` -> seven maps.
        decoder: see `FaceDecoder`.
    """

    def __init__(self, audio_map: nn.Module, faces: FacePyramid, decoder: "FaceDecoder") -> None:
        super().__init__()
        # In the order of the public code, faces first.
        self.faces, self.audio_map, self.decoder = faces, audio_map, decoder
        # Up to a third faster on CPUs at small widths.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, tokens: Tensor, faces: Tensor) -> Tensor:
        """Map tokens of the voice `(B, D)` and `face_pair`s `(B, 6, 96, 96)` to RGB frames `(B, 3,
        96, 96)` in [0, 1].
        """
        if tokens.ndim != 2 or len(tokens) != len(faces):
            raise ValueError(
                f"tokens must be (B, D) for faces (B, 6, {SIZE}, {SIZE}), "
                f"got {tuple(tokens.shape)} and {tuple(faces.shape)}"
            )
        frames: Tensor = self.decoder(self.audio_map(tokens), self.faces(faces))
        return frames


class FaceDecoder(nn.Module):
    """Draws a frame out of what is said and what is seen: at each size what is drawn so far meets
    the map of that size.

    Args:
        channels: widths of what is seen, from 96x96 to 3x3.
        widths: of what is drawn, from 3x3 and 6x6 to 96x96.
        drawn: width of the map that the pixels are read from.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int, int, int],
        widths: tuple[int, int, int, int, int],
        drawn: int,
    ) -> None:
        super().__init__()
        seen, said = channels[::-1], channels[-1]
        first = widths[0]
        # From 1x1 to 3x3; the table's stride of 2 gives that size as well.
        to_3 = nn.ConvTranspose2d(said + seen[0], first, 3)
        stages = [
            nn.Sequential(conv_block_2d(said, said, 1)),
            nn.Sequential(ConvBlock(to_3, nn.BatchNorm2d(first)), residual_block_2d(first)),
        ]
        before = first
        for width, meets in zip(widths, seen[:-1], strict=True):
            double = upsample_block_2d(before + meets, width)
            stages.append(nn.Sequential(double, residual_block_2d(width), residual_block_2d(width)))
            before = width
        self.stages = nn.ModuleList(stages)
        self.out = nn.Sequential(
            conv_block_2d(before + seen[-1], drawn, 3, padding=1), nn.Conv2d(drawn, 3, 1)
        )

    def forward(self, said: Tensor, seen: list[Tensor]) -> Tensor:
        """Map what is said `(B, C)` and seven maps, the largest first, to frames `(B, 3, 96,
        96)`.
        """
        x = rearrange(said, "b c -> b c 1 1")
        for stage, meets in zip(self.stages, reversed(seen), strict=True):
            x = torch.cat([stage(x), meets], dim=1)
        return self.out(x).sigmoid()


def face_pair(pose: Tensor, identity: Tensor) -> Tensor:
    """Return what a generator sees `(B, 6, 96, 96)`: frames `(B, 3, 96, 96)` without their lower half,
    which is zero, and others of the same person, whole.
    """
    if pose.shape != identity.shape or pose.shape[1:] != (3, SIZE, SIZE):
        shapes = f"{tuple(pose.shape)} and {tuple(identity.shape)}"
        raise ValueError(f"pose and identity must both be (B, 3, {SIZE}, {SIZE}), got {shapes}")
    upper = pose.clone()
    upper[:, :, SIZE // 2 :] = 0
    return torch.cat([upper, identity], dim=1)


@torch.inference_mode()
def redraw(
    model: TalkingFace, frames: Tensor, wav: Tensor, identity: Tensor | None = None
) -> Tensor:
    """Return frames `(T, 3, 96, 96)` that say what a voice `(N,)` at 16 kHz says, which starts with the
    first of them; their lower halves are never seen.

    Args:
        model: in eval mode.
        frames: face crops of one person, RGB in [0, 1], 25 a second.
        wav: the voice.
        identity: a frame `(3, 96, 96)` of that person; the first frame by default.
    """
    tokens = model.encode_voice(wav[None], len(frames))[0]
    shown = frames[0] if identity is None else identity
    drawn = [
        model(said, face_pair(pose, shown.expand_as(pose)))
        for said, pose in zip(tokens.split(DRAWN), frames.split(DRAWN), strict=True)
    ]
    return torch.cat(drawn)


def build_generator(config: TalkingFaceConfig, audio_map: nn.Module) -> TalkingFaceGenerator:
    """Yield the generator of that configuration, with fresh weights."""
    return TalkingFaceGenerator(
        audio_map,
        FacePyramid(config.channels),
        FaceDecoder(config.channels, config.decoder, config.drawn),
    )
