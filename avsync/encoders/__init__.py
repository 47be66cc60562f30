"""Encoders: one stream in, a sequence of tokens `(B, L, D)` out.

Visual encoders map frames `(B, 3, T, H, W)` in [0, 1], audio encoders map log-mel or MFCC features
to tokens. They are plain modules with explicit arguments and know nothing of the other stream; a
fusion or a task combines them. There is one file per paper: SyncNet, Wav2Lip's expert, VocaLiST,
AVST, AV-HuBERT, ST-GCN, MC3-18, Looking to Listen, Whisper, any image model of timm, and
dense_sync's own. Whisper's is pretrained and stays frozen: see `load_whisper_encoder`.

    from avsync.encoders import VocalistVisualEncoder

    encoder = VocalistVisualEncoder(channels=(16, 32, 64, 128, 200)).eval()
    tokens = encoder(frames)  # (B, 3, T, 48, 96) -> (B, T, 200)

`FaceMesh`, MediaPipe's face mesh, maps crops of a face to points; `load_face_mesh` has its weights.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
