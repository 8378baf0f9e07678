"""Front ends that run inside the model, built on Kapre: log-mel spectrogram, gain control and augmentation."""

from dl4mir_utils.layers.augment import PitchShift, RandomGain, SpecAugment
from dl4mir_utils.layers.logmel import LogMel
from dl4mir_utils.layers.pcen import Pcen

__all__ = ["LogMel", "Pcen", "PitchShift", "RandomGain", "SpecAugment"]
