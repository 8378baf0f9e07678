"""Changes made to the input while training, and only then."""

from typing import Any, Literal

import kapre
import keras
import tensorflow as tf

from dl4mir_utils.errors import BadArgumentError


@keras.saving.register_keras_serializable(package="dl4mir")
class SpecAugment(keras.layers.Layer):
    """Hide random bands and stretches of a spectrogram while training (Park et al., 2019), with Kapre's layer.

    Input and output: (batch, frames, mels, 1). Without training it changes nothing.

    Kapre fills with one constant, by default 0; but 0 dB is *loud*. Here the fill is each clip's own
    mean or minimum.

    Parameters
    ----------
    frequency_masks, time_masks : int
        How many of each.
    frequency_width, time_width : int
        Greatest width of a mask, in mel bands and in frames; each mask's width is drawn from 1 to it.
    fill : {"mean", "min"}
        What stands in the hidden places.
    **kwargs
        `name` and the like.
    """

    def __init__(
        self,
        frequency_masks: int = 1,
        frequency_width: int = 8,
        time_masks: int = 1,
        time_width: int = 16,
        fill: Literal["mean", "min"] = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if fill not in ("mean", "min"):
            raise BadArgumentError(f"fill is {fill!r}; it must be 'mean' or 'min'.")
        self._config = {
            "frequency_masks": frequency_masks,
            "frequency_width": frequency_width,
            "time_masks": time_masks,
            "time_width": time_width,
            "fill": fill,
        }
        self.fill = fill
        self.mask = kapre.SpecAugment(
            freq_mask_param=frequency_width,
            time_mask_param=time_width,
            n_freq_masks=frequency_masks,
            n_time_masks=time_masks,
            data_format="channels_last",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Do nothing but tell Keras so: there are no weights to create."""
        self.mask.build(input_shape)

    def call(self, spectrogram: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Hide parts of (batch, frames, mels, 1) when `training`."""
        if not training:
            return spectrogram
        reduce = tf.reduce_mean if self.fill == "mean" else tf.reduce_min
        fill = reduce(spectrogram, axis=[1, 2, 3], keepdims=True)
        return self.mask(spectrogram - fill, training=True) + fill

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, so that a saved model can be loaded."""
        return super().get_config() | self._config


@keras.saving.register_keras_serializable(package="dl4mir")
class RandomGain(keras.layers.Layer):
    """Make each clip randomly louder or softer while training.

    Input and output: audio (batch, samples, 1), computed in float32. Without training it changes nothing.

    Parameters
    ----------
    range_db : float
        The gain is drawn evenly from -range_db to +range_db decibels.
    seed : int, optional
        Seed of the gains.
    **kwargs
        `name` and the like. `dtype` is ignored.
    """

    def __init__(self, range_db: float = 6.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        self.range_db, self.seed = range_db, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, audio: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Scale (batch, samples, 1) by one gain per clip when `training`."""
        if not training:
            return audio
        shape = (keras.ops.shape(audio)[0], 1, 1)
        gain_db = keras.random.uniform(shape, -self.range_db, self.range_db, seed=self.generator)
        return audio * 10 ** (gain_db / 20)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, so that a saved model can be loaded."""
        return super().get_config() | {"range_db": self.range_db, "seed": self.seed}


@keras.saving.register_keras_serializable(package="dl4mir")
class PitchShift(keras.layers.Layer):
    """Stretch each spectrogram along its mel bands while training, as if the song were higher or lower.

    Input and output: (batch, frames, mels, channels). Without training it changes nothing. On the mel scale this
    is nearly a change of all frequencies by this factor below 1 kHz, and a greater one above. Pitch shifts are one
    of the augmentations of Schlüter and Grill (ISMIR 2015).

    Parameters
    ----------
    factor : float
        The bands are stretched by a factor drawn evenly from 1 - factor to 1 + factor, one for each clip.
    seed : int, optional
        Seed of the factors.
    **kwargs
        `name` and the like.

    Raises
    ------
    BadArgumentError
        `factor` is not between 0 and 1.
    """

    def __init__(self, factor: float = 0.1, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < factor < 1:
            raise BadArgumentError(f"factor is {factor}; it must lie between 0 and 1.")
        self.factor, self.seed = factor, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, spectrogram: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Stretch (batch, frames, mels, channels) when `training`; the outermost bands fill what is left over."""
        if not training:
            return spectrogram
        shape = (keras.ops.shape(spectrogram)[0],)
        scale = keras.random.uniform(shape, 1 - self.factor, 1 + self.factor, seed=self.generator)
        zero, one = tf.zeros_like(scale), tf.ones_like(scale)
        transform = tf.stack([scale, zero, zero, zero, one, zero, zero, zero], axis=1)
        return keras.ops.image.affine_transform(spectrogram, transform, "bilinear", "nearest")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, so that a saved model can be loaded."""
        return super().get_config() | {"factor": self.factor, "seed": self.seed}
