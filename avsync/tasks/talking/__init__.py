"""Talking faces: generate the frames of a face that speaks given audio.

A model of a talking face keeps the contract of `TalkingFace`: `encode_speech` maps a waveform to a
token per frame, and a call maps tokens, the upper half of a face and a frame of the same person to
whole faces. `FaceDiscriminator` is the critic of adversarial training.

    import torch
    from avsync.tasks.talking import Wav2LipConfig, build_wav2lip, generate_frames

    model = build_wav2lip(Wav2LipConfig()).eval()  # fresh weights
    frames = generate_frames(model, torch.rand(25, 3, 96, 96), torch.randn(16000))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
