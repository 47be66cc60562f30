"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from .frequency_unet import FrequencyUNet as FrequencyUNet
from .input_spec import ChunkLengths as ChunkLengths
from .input_spec import SeparationSpec as SeparationSpec
from .input_spec import chunk_lengths as chunk_lengths
from .lip_mask import LipMask as LipMask
from .lip_mask import LipMaskConfig as LipMaskConfig
from .lip_mask import build_lip_mask as build_lip_mask
from .lip_mask import lip_mask_spec as lip_mask_spec
from .llcp import Llcp as Llcp
from .llcp import LlcpConfig as LlcpConfig
from .llcp import build_llcp as build_llcp
from .mask_unet import MaskUNet as MaskUNet
from .unet import UNet as UNet
from .unet import UNetConfig as UNetConfig
from .unet import build_unet as build_unet
from .ynet import YNet as YNet
from .ynet_variants import YNetDenseConfig as YNetDenseConfig
from .ynet_variants import YNetGConfig as YNetGConfig
from .ynet_variants import YNetMConfig as YNetMConfig
from .ynet_variants import YNetSConfig as YNetSConfig
from .ynet_variants import YNetVConfig as YNetVConfig
from .ynet_variants import build_ynet_dense as build_ynet_dense
from .ynet_variants import build_ynet_g as build_ynet_g
from .ynet_variants import build_ynet_m as build_ynet_m
from .ynet_variants import build_ynet_s as build_ynet_s
from .ynet_variants import build_ynet_v as build_ynet_v
