"""Generator of talking faces: from audio and a face with its lower half masked to a speaking face.

Source: Wav2Lip (Prajwal et al., ACM Multimedia 2020); TalkLip (Wang et al., CVPR 2023) and
SyncTalklip condition it on other audio encoders. Table 2 of SyncTalklip's supplement, where it
contradicts itself, is read as the public code has it: see docs/models/synctalklip.md.
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

# Frames generated at once.
FRAMES_PER_PASS = 32
# Input of a generator: one whole face crop at a time, with the audio of its frame.
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
    """Sizes of a generator, by default those of Wav2Lip, TalkLip and SyncTalklip.

    Args:
        channels: widths of the face encoder's maps, from 96x96 to 3x3.
        decoder: widths of the decoder's maps, from 3x3 and 6x6 to 96x96.
        drawn: width of the last map before the pixels.
    """

    channels: tuple[int, int, int, int, int, int] = (16, 32, 64, 128, 256, 512)
    decoder: tuple[int, int, int, int, int] = (512, 384, 256, 128, 64)
    drawn: int = 32


# A size that a CPU trains in an hour: multiples of 8 where the maps are large, since convolutions
# on CPUs are slower with 12 channels than with 16; 16 at 96x96, so that both frames get past the
# first layer.
SMALL_TALKING_FACE = TalkingFaceConfig((16, 16, 16, 32, 64, 128), (128, 64, 32, 16, 8), 16)


class TalkingFace(Protocol):
    """Model of a talking face, as training and `avsync talk` use it."""

    spec: ClipSpec

    def encode_speech(self, wav: Tensor, frames: int) -> Tensor:
        """Map speech `(B, N)` at 16 kHz that starts with the first frame to `(B, frames, D)`.

        There is one token for each frame.
        """
        ...

    def __call__(self, tokens: Tensor, faces: Tensor) -> Tensor:
        """Map tokens `(B, D)` and `face_pair`s `(B, 6, 96, 96)` to frames `(B, 3, 96, 96)`."""
        ...


class TalkingFaceGenerator(nn.Module):
    """Generate a face with lips that match a token of speech.

    Identity comes from one frame, pose from the upper half of another one.

    Args:
        audio_map: tokens of speech `(B, D)` to `(B, channels[-1])`.
        faces: both frames `(B, 6, 96, 96)` to seven maps.
        decoder: see `FaceDecoder`.
    """

    def __init__(self, audio_map: nn.Module, faces: FacePyramid, decoder: "FaceDecoder") -> None:
        super().__init__()
        # In the order of the public code, faces first.
        self.faces, self.audio_map, self.decoder = faces, audio_map, decoder
        # Up to a third faster on CPUs at small widths.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, tokens: Tensor, faces: Tensor) -> Tensor:
        """Map speech tokens `(B, D)` and `face_pair`s `(B, 6, 96, 96)` to frames `(B, 3, 96, 96)`.

        Frames are RGB in [0, 1].
        """
        if tokens.ndim != 2 or len(tokens) != len(faces):
            raise ValueError(
                f"tokens must be (B, D) for faces (B, 6, {SIZE}, {SIZE}), "
                f"got {tuple(tokens.shape)} and {tuple(faces.shape)}"
            )
        frames: Tensor = self.decoder(self.audio_map(tokens), self.faces(faces))
        return frames


class FaceDecoder(nn.Module):
    """Decode speech and the maps of a face encoder to a frame, as in a U-Net with skip connections.

    Args:
        channels: widths of the face encoder's maps, from 96x96 to 3x3.
        widths: widths of the decoder's maps, from 3x3 and 6x6 to 96x96.
        drawn: width of the last map before the pixels.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int, int, int],
        widths: tuple[int, int, int, int, int],
        drawn: int,
    ) -> None:
        super().__init__()
        skips, speech_dim = channels[::-1], channels[-1]
        first = widths[0]
        # From 1x1 to 3x3; the table's stride of 2 gives that size as well.
        to_3 = nn.ConvTranspose2d(speech_dim + skips[0], first, 3)
        blocks = [
            nn.Sequential(conv_block_2d(speech_dim, speech_dim, 1)),
            nn.Sequential(ConvBlock(to_3, nn.BatchNorm2d(first)), residual_block_2d(first)),
        ]
        before = first
        for width, skip in zip(widths, skips[:-1], strict=True):
            double = upsample_block_2d(before + skip, width)
            blocks.append(nn.Sequential(double, residual_block_2d(width), residual_block_2d(width)))
            before = width
        self.stages = nn.ModuleList(blocks)
        self.out = nn.Sequential(
            conv_block_2d(before + skips[-1], drawn, 3, padding=1), nn.Conv2d(drawn, 3, 1)
        )

    def forward(self, speech: Tensor, maps: list[Tensor]) -> Tensor:
        """Map speech `(B, C)` and seven maps, the largest first, to frames `(B, 3, 96, 96)`."""
        x = rearrange(speech, "b c -> b c 1 1")
        for block, skip in zip(self.stages, reversed(maps), strict=True):
            x = torch.cat([block(x), skip], dim=1)
        return self.out(x).sigmoid()


def face_pair(pose: Tensor, identity: Tensor) -> Tensor:
    """Return the input of a generator `(B, 6, 96, 96)`.

    Args:
        pose: frames `(B, 3, 96, 96)`, whose lower half is replaced by zeros.
        identity: whole frames of the same people `(B, 3, 96, 96)`.
    """
    if pose.shape != identity.shape or pose.shape[1:] != (3, SIZE, SIZE):
        shapes = f"{tuple(pose.shape)} and {tuple(identity.shape)}"
        raise ValueError(f"pose and identity must both be (B, 3, {SIZE}, {SIZE}), got {shapes}")
    upper = pose.clone()
    upper[:, :, SIZE // 2 :] = 0
    return torch.cat([upper, identity], dim=1)


@torch.inference_mode()
def generate_frames(
    model: TalkingFace, frames: Tensor, wav: Tensor, identity: Tensor | None = None
) -> Tensor:
    """Generate the frames of a clip with lips that match speech.

    Args:
        model: in eval mode.
        frames: face crops of one person `(T, 3, 96, 96)`, RGB in [0, 1], 25 per second; their lower
            halves are not used.
        wav: speech `(N,)` at 16 kHz that starts with the first frame.
        identity: a frame `(3, 96, 96)` of that person; the first frame by default.

    Returns:
        Frames `(T, 3, 96, 96)`.
    """
    tokens = model.encode_speech(wav[None], len(frames))[0]
    shown = frames[0] if identity is None else identity
    batches = zip(tokens.split(FRAMES_PER_PASS), frames.split(FRAMES_PER_PASS), strict=True)
    return torch.cat(
        [model(speech, face_pair(pose, shown.expand_as(pose))) for speech, pose in batches]
    )


def build_talking_face_generator(
    config: TalkingFaceConfig, audio_map: nn.Module
) -> TalkingFaceGenerator:
    """Build a generator with fresh weights.

    Args:
        config: sizes.
        audio_map: tokens of speech `(B, D)` to `(B, config.channels[-1])`.
    """
    return TalkingFaceGenerator(
        audio_map,
        FacePyramid(config.channels),
        FaceDecoder(config.channels, config.decoder, config.drawn),
    )
