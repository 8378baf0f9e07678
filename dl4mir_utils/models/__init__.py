"""Networks that more than one notebook uses, and the pretrained ones."""

from dl4mir_utils.models.musicnn import MTT_TAGS, musicnn, musicnn_features
from dl4mir_utils.models.singing import SingingDetector, singing_detector

__all__ = ["MTT_TAGS", "SingingDetector", "musicnn", "musicnn_features", "singing_detector"]
