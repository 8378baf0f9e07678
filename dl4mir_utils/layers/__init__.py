"""Layers: front ends built on Kapre (log-mel spectrogram, gain control, augmentation), and the non-local block."""

from dl4mir_utils.layers.augment import PitchShift, RandomGain, SpecAugment
from dl4mir_utils.layers.logmel import LogMel
from dl4mir_utils.layers.nonlocal_block import NonLocal
from dl4mir_utils.layers.pcen import Pcen

__all__ = ["LogMel", "NonLocal", "Pcen", "PitchShift", "RandomGain", "SpecAugment"]
