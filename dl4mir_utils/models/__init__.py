"""Networks that more than one notebook uses, and the pretrained ones."""

from dl4mir_utils.models.choi import choi_compact_cnn, music_tagger_cnn
from dl4mir_utils.models.compact_cnn import compact_cnn
from dl4mir_utils.models.crnn import music_tagger_crnn
from dl4mir_utils.models.musicnn import MSD_TAGS, MTT_TAGS, embeddings, musicnn, musicnn_vgg, taggram
from dl4mir_utils.models.singing import SingingDetector, singing_detector

__all__ = [
    "MSD_TAGS",
    "MTT_TAGS",
    "SingingDetector",
    "choi_compact_cnn",
    "compact_cnn",
    "embeddings",
    "music_tagger_cnn",
    "music_tagger_crnn",
    "musicnn",
    "musicnn_vgg",
    "singing_detector",
    "taggram",
]
