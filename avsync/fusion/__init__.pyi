"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .cross_modal import CrossModalTransformer as CrossModalTransformer
from .cross_modal import KeysValues as KeysValues
from .cross_modal import LayerAttention as LayerAttention
from .cross_modal import SinusoidalPositions as SinusoidalPositions
from .cross_modal import ZeroChannelPositions as ZeroChannelPositions
from .cross_modal import band_mask as band_mask
from .cross_modal import capture_attention as capture_attention
from .cross_modal import folded_attention as folded_attention
from .cross_modal import sinusoidal_positions as sinusoidal_positions
from .film import Film as Film
from .film import resample_tokens as resample_tokens
from .joint_transformer import JointTransformer as JointTransformer
from .temporal_conv import TemporalConvFusion as TemporalConvFusion
