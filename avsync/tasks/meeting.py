"""Windows of pictures that meet several sounds each."""

from torch import Tensor


def meeting(video: Tensor, audio: Tensor) -> Tensor:
    """Entries of pictures `(B, ...)`, each as often as it meets a sound of `(B K, ...)`, one after
    the other: `(B K, ...)`. ValueError where sounds are left over.
    """
    sounds, rest = divmod(len(audio), max(len(video), 1))
    if rest or not sounds:
        raise ValueError(
            f"there must be as many sounds for each of {len(video)} windows of pictures, "
            f"got {len(audio)}"
        )
    return video if sounds == 1 else video.repeat_interleave(sounds, 0)
