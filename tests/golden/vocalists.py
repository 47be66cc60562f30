"""VocaLiST and MTDVocaLiST with the weights and inputs of the reference models."""

from einops import rearrange
from golden.recipe import make_input, numbers, upstream_keys, weights

from avsync.convert.vocalist import convert_mtdvocalist, convert_vocalist
from avsync.tasks.sync.vocalist import MTDVOCALIST, VocalistConfig, build_vocalist

# The reference has two float32 steps in a float64 model: the softmax of attention, and the table of
# positions. Their rounding depends on the processor: how many numbers it adds at once, and the exp
# and sin of its matrix library. Weights of attention are at most 1, where half a float32 step is
# 2^-24; each of 12 layers adds one to tokens of the size of 1 after their norm. Measured: 7e-8
# between processors, 2e-7 between the reference with these steps and without them.
FLOAT32_INSIDE = 12 * 2**-24
# Angles are up to 80, where a float32 step is 2^-17: a sine of the table may be off by as much, and
# the table is added to the tokens.
POSITION_STEP = 2**-17
GAINS = {"vid_prenet.16.": 0.3, "aud_prenet.13.": 0.05}


def golden_model(name, dtype):
    state = weights(
        upstream_keys(name),
        lambda key: next((gain for start, gain in GAINS.items() if key.startswith(start)), 1.0),
    )
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    convert, config = {
        "vocalist": (convert_vocalist, VocalistConfig()),
        "mtdvocalist": (convert_mtdvocalist, MTDVOCALIST),
    }[name]
    model = build_vocalist(config).to(dtype).eval()
    model.load_state_dict(convert(state), strict=True)
    return model


def golden_inputs(name, case, dtype):
    """Return frames and mel of a case in the layout of this package.

    The reference's frames are BGR with frames and channels on one axis; MTDVocaLiST's are in 0 to
    255.
    """
    known = numbers(f"golden_{name}")["cases"][case]
    stacked = make_input(f"video.{case}", tuple(known["video_shape"]), 0, 1).to(dtype)
    frames = rearrange(stacked, "b (t c) h w -> b c t h w", c=3)
    frames = frames.flip(1) if name == "vocalist" else frames / 255
    return frames, make_input(f"mel.{case}", tuple(known["mel_shape"]), -4, 4).to(dtype)
