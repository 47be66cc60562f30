"""face_sync: mouth landmarks and pixels in the face's own frame against frozen speech features.

The face mesh network finds the landmarks, and Whisper's first layer encodes the audio; both were
trained on many people by others and stay frozen. What is trained here compares the two.
As in dense_sync, both streams are encoded once and dot products compare them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsync.encoders.face_sync import LandmarkEncoder, MouthPixelEncoder, SpeechTokenEncoder
from avsync.encoders.pretrained.face_mesh import (
    CROP_SIZE,
    NUM_POINTS,
    FaceMeshOutput,
    load_face_mesh,
)
from avsync.encoders.pretrained.whisper import LocalWhisperEncoder, load_whisper_encoder
from avsync.faces.face_frame import cut_mouths, fill_gaps, head_yaw, mouth_motion
from avsync.faces.mesh_tracking import MIN_PRESENCE
from avsync.tasks.input_spec import ClipSpec
from avsync.timing import FPS, SAMPLE_RATE

# Tokens of 20 ms before and after each, to which Whisper's layer attends.
CONTEXT_TOKENS = 48
# Angle in degrees by which a head may be turned to a side for its landmarks to count.
MAX_YAW = 40.0


@dataclass(frozen=True)
class FaceSyncConfig:
    """Sizes of a face_sync model, and its zero offset.

    Args:
        dim: width of the tokens that are compared.
        hidden: width of the encoders.
        pixel_channels: width of the mouth pixel encoder's first stage.
        mean_frames: frames before and after, over which the mean of the landmarks is taken.
        zero_ms: offset of the corpus the weights were trained on, see `DenseSyncConfig`.
    """

    dim: int = 128
    hidden: int = 192
    pixel_channels: int = 16
    mean_frames: int = 12
    zero_ms: float = 0.0


class FaceSync(nn.Module):
    """Score how well windows of a face and of audio match in time.

    Args:
        landmarks: motion of landmarks `(B, T, 62, 3)` -> tokens `(B, T - 4, hidden)`.
        pixels: grey mouths `(B, T, 48, 48)` -> tokens `(B, T - 4, hidden)`.
        speech: speech tokens `(B, L, 384)` -> tokens `(B, L - 10, dim)`.
        hidden: width of the visual encoders' tokens.
        dim: width of the tokens that are compared.
        mean_frames: see `FaceSyncConfig`.
        zero_ms: see `DenseSyncConfig`.
    """

    # Upper bound of the weight of a window, in nats between a perfect match and none.
    max_weight = 24.0
    # Meshes interpolated between every second frame do as well (docs/models/face_sync.md).
    analysis_stride = 2

    def __init__(
        self,
        landmarks: LandmarkEncoder,
        pixels: MouthPixelEncoder,
        speech: SpeechTokenEncoder,
        hidden: int = 192,
        dim: int = 128,
        mean_frames: int = 12,
        zero_ms: float = 0.0,
    ) -> None:
        super().__init__()
        self.landmarks, self.pixels, self.speech = landmarks, pixels, speech
        self.match, self.weight = nn.Linear(2 * hidden, dim), nn.Linear(2 * hidden, 1)
        nn.init.zeros_(self.weight.weight)
        nn.init.zeros_(self.weight.bias)
        self.mean_frames, self.zero_s = mean_frames, zero_ms / 1000
        self.mesh = FrozenNetwork(load_face_mesh)
        self.whisper = FrozenNetwork(load_local_whisper)
        window = landmarks.receptive_frames
        # The tokens of a window of audio lie around the middle frame of the window.
        reach_s = speech.receptive_tokens // 2 * LocalWhisperEncoder.hop_samples / SAMPLE_RATE
        self.first_token_s = self.zero_s + window // 2 / FPS - reach_s
        stem_s = LocalWhisperEncoder.stem_samples / SAMPLE_RATE
        self.spec = ClipSpec(
            crop="mesh",
            height=CROP_SIZE,
            width=CROP_SIZE,
            window_frames=window,
            audio_from_s=self.first_token_s - stem_s,
            audio_until_s=self.first_token_s + 2 * reach_s + stem_s,
            context_frames=mean_frames,
            audio_context_s=CONTEXT_TOKENS * LocalWhisperEncoder.hop_samples / SAMPLE_RATE,
        )

    def encode_video(self, frames: Tensor, meshes: FaceMeshOutput | None = None) -> Tensor:
        """Map RGB frames `(B, 3, T, 256, 256)` in [0, 1] to embeddings `(B, T - 4, D)`.

        There is one embedding for each window start. It is zero, so that the window scores equally
        at all offsets, where the mesh network finds no face for over 3 frames. Where the head is
        turned by more than `MAX_YAW`, only the mouth's pixels count.

        Args:
            frames: in [0, 1], or uint8.
            meshes: what `analyse_frames` returned for them, if it is known.
        """
        if frames.ndim != 5 or frames.shape[1] != 3 or frames.shape[3:] != (CROP_SIZE, CROP_SIZE):
            self._refuse(frames)
        if frames.shape[2] < self.spec.window_frames:
            self._refuse(frames)
        found = self.analyse_frames(frames) if meshes is None else meshes
        points, present = fill_gaps(found.points, found.presence >= MIN_PRESENCE)
        mouths = cut_mouths(frames, points, self.pixels.crop_size).to(self.match.weight.dtype)
        motion = mouth_motion(points, self.mean_frames).to(mouths)
        # Of a head that is turned far, half the mouth is hidden: its landmarks are a guess.
        seen = present & (head_yaw(points).abs() <= MAX_YAW)
        landmarks = self.landmarks(motion) * self._in_all_frames(seen).to(motion)
        return self.weigh(landmarks, self.pixels(mouths)) * self._in_all_frames(present).to(motion)

    def _in_all_frames(self, frames: Tensor) -> Tensor:
        """Return for which windows `(B, T - 4, 1)` something holds in all frames `(B, T)`."""
        return frames.unfold(1, self.spec.window_frames, 1).all(-1)[..., None]

    def analyse_frames(self, frames: Tensor, chosen: Tensor | None = None) -> FaceMeshOutput:
        """Find the meshes `(B, T, 478, 3)` and presences `(B, T)` of RGB frames, each by itself.

        Args:
            frames: `(B, 3, T, 256, 256)` in [0, 1], or uint8.
            chosen: `(T,)` bool, the frames that are looked at, by default all. The presence of the
                others is 0, so that `encode_video` interpolates their meshes as it fills gaps.
        """
        batch, total = len(frames), frames.shape[2]
        looked_at = list(range(total)) if chosen is None else chosen.nonzero()[:, 0].tolist()
        points = torch.zeros(batch, total, NUM_POINTS, 3, device=frames.device)
        presence = torch.zeros(batch, total, device=frames.device)
        if looked_at:
            # Indexing by a tensor would copy bytes one by one.
            crops = torch.cat([frames[:, :, frame] for frame in looked_at])
            crops = crops if crops.dtype == torch.uint8 else crops.float()
            found = self.mesh.on(frames.device)(crops)
            points[:, looked_at] = rearrange(found.points, "(t b) n xyz -> b t n xyz", b=batch)
            presence[:, looked_at] = rearrange(found.presence, "(t b) -> b t", b=batch)
        return FaceMeshOutput(points, presence)

    def _refuse(self, frames: Tensor) -> None:
        least, size = self.spec.window_frames, CROP_SIZE
        raise ValueError(
            f"frames must be (B, 3, T >= {least}, {size}, {size}), got {tuple(frames.shape)}"
        )

    def encode_mouths(self, motion: Tensor, mouths: Tensor) -> Tensor:
        """Map landmark motion `(B, T, 62, 3)` and grey mouths `(B, T, 48, 48)` to embeddings."""
        return self.weigh(self.landmarks(motion), self.pixels(mouths))

    def weigh(self, landmarks: Tensor, pixels: Tensor) -> Tensor:
        """Map tokens of both visual encoders `(B, L, hidden)` to embeddings `(B, L, D)`.

        Their length, in (0, max_weight), is learnt.
        """
        tokens = torch.cat([landmarks, pixels], -1)
        weight = self.max_weight * torch.sigmoid(self.weight(tokens))
        return weight * F.normalize(self.match(tokens), dim=-1)

    def encode_audio(self, wav: Tensor, starts_s: Tensor) -> Tensor:
        """Encode the audio of windows.

        Args:
            wav: waveforms `(B, N)` at 16 kHz; up to `spec.audio_context_s` before and after the
                windows' audio is used, and taken for silence where it is missing.
            starts_s: window starts `(S,)` in seconds; rounded to a sample.

        Returns:
            Unit embeddings `(B, S, D)`.

        Raises:
            ValueError: a window reaches outside the waveform.
        """
        spec, length_s = self.spec, wav.shape[1] / SAMPLE_RATE
        slack_s = 0.5 / SAMPLE_RATE
        begins_s, ends_s = starts_s + spec.audio_from_s, starts_s + spec.audio_until_s
        inside = (begins_s >= -slack_s) & (ends_s <= length_s + slack_s)
        if not len(starts_s) or not inside.all():
            found = f"{starts_s.min():.3f} to {starts_s.max():.3f}" if len(starts_s) else "none"
            raise ValueError(
                "starts_s must leave each window's audio, "
                f"{spec.audio_from_s:+.3f} to {spec.audio_until_s:+.3f} s around its start, "
                f"inside wav of {length_s:.3f} s, got {found}"
            )
        positions = ((starts_s + self.first_token_s) * SAMPLE_RATE).round().long()
        # Windows whose starts differ by whole tokens share them.
        phases = positions % LocalWhisperEncoder.hop_samples
        embeddings = wav.new_zeros(
            len(wav), len(starts_s), self.match.out_features, dtype=self.match.weight.dtype
        )
        for phase in phases.unique():
            chosen = (phases == phase).nonzero()[:, 0]
            embeddings[:, chosen] = self._encode_steps(wav, positions[chosen])
        return embeddings

    def _encode_steps(self, wav: Tensor, positions: Tensor) -> Tensor:
        """Encode windows whose first tokens are centred on samples `(S,)`, whole tokens apart."""
        whisper = self.whisper.on(wav.device)
        hop, margin, first = whisper.hop_samples, whisper.margin_samples, int(positions.min())
        columns = (positions - first) // hop
        begin = first - margin
        end = first + margin + (int(columns.max()) + self.speech.receptive_tokens - 1) * hop
        read = wav[:, max(begin, 0) : end]
        padded = F.pad(read, (max(-begin, 0), max(end - wav.shape[1], 0)))
        tokens = whisper(padded.float()).to(self.match.weight.dtype)
        return self.encode_speech(tokens)[:, columns.to(wav.device)]

    def encode_speech(self, tokens: Tensor) -> Tensor:
        """Map Whisper's tokens `(B, L, 384)` to unit embeddings `(B, L - 10, D)`."""
        return F.normalize(self.speech(tokens), dim=-1)

    def compare(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map embeddings `(..., D)` whose leading axes broadcast to scores `(...)`."""
        return (video * audio).sum(-1, dtype=torch.promote_types(video.dtype, torch.float32))


class FrozenNetwork:
    """A network with weights of its own, which are no part of the model that uses it.

    It is loaded when first used, and moved to the device of its input.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load, self._device = load, torch.device("cpu")
        self._network: Any = None

    def on(self, device: torch.device) -> Any:
        """Return the network on a device."""
        if self._network is None:
            self._network = self._load().requires_grad_(False)
        if self._device != device:
            self._network, self._device = self._network.to(device), device
        return self._network


def load_local_whisper() -> LocalWhisperEncoder:
    """Load Whisper's first layer with the context that face_sync was trained with."""
    return LocalWhisperEncoder(load_whisper_encoder(), CONTEXT_TOKENS).eval()


def build_face_sync(config: FaceSyncConfig) -> FaceSync:
    """Build a face_sync model with fresh weights, but for the frozen networks."""
    return FaceSync(
        landmarks=LandmarkEncoder(config.hidden),
        pixels=MouthPixelEncoder(config.hidden, config.pixel_channels),
        speech=SpeechTokenEncoder(config.dim, hidden=config.hidden),
        hidden=config.hidden,
        dim=config.dim,
        mean_frames=config.mean_frames,
        zero_ms=config.zero_ms,
    )
