"""Types of the public names, which are imported when first used (see `__init__.py`)."""

from . import distillation as distillation
from .adversarial import AdversarialLoss as AdversarialLoss
from .bounded_mask import BoundedMaskLoss as BoundedMaskLoss
from .cosine_bce import CosineBceLoss as CosineBceLoss
from .frame_contrast import AudioNegativesLoss as AudioNegativesLoss
from .frame_contrast import ClipContrastLoss as ClipContrastLoss
from .frame_contrast import DistanceDifferenceLoss as DistanceDifferenceLoss
from .info_nce import InfoNceLoss as InfoNceLoss
from .label_smoothing import LabelSmoothedCrossEntropy as LabelSmoothedCrossEntropy
from .margin_contrastive import MarginContrastiveLoss as MarginContrastiveLoss
from .n_way_matching import InverseDistance as InverseDistance
from .n_way_matching import NWayMatchingLoss as NWayMatchingLoss
from .n_way_matching import ScaledCosine as ScaledCosine
from .shift_info_nce import ShiftInfoNceLoss as ShiftInfoNceLoss
from .thresholded_snr import ThresholdedSnrLoss as ThresholdedSnrLoss
