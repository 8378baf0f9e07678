"""Front ends that run inside the model, built on Kapre: log-mel spectrogram and augmentation."""

from dl4mir_utils.layers.augment import RandomGain, SpecAugment
from dl4mir_utils.layers.logmel import LogMel

__all__ = ["LogMel", "RandomGain", "SpecAugment"]
