"""The log-mel spectrogram as the first layer of a model."""

from typing import Any, Literal

import kapre
import keras
import tensorflow as tf

from dl4mir_utils.errors import BadArgumentError

EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="dl4mir")
class LogMel(keras.layers.Layer):
    """Turn audio into a mel spectrogram in decibels, inside the model.

    Input: float (batch, samples, 1) in [-1, 1]. Output: float32 (batch, frames, mels, 1).
    (Stereo works, too: two channels in, two out.)
    The number of samples may be unknown when the model is built. There is nothing to train.

    The layer always computes in float32, also under `mixed_float16` and `mixed_bfloat16`: a
    spectrum spans more than half precision can hold.

    Parameters
    ----------
    sample_rate : int
        Of the input, in Hz.
    window_s, hop_s : float
        Length of the (Hann) window and distance between windows, in seconds. The defaults are
        512 and 256 samples at 16 kHz.
    n_mels : int
        Number of mel bands.
    f_min_hz, f_max_hz : float
        Range of the mel bands; `f_max_hz=None` is half the sample rate.
    power : {2.0, 1.0}
        What the mel bands sum: 2 is the power spectrogram, as librosa does by default, and decibels
        are `10 * log10(mel)`. 1 is the magnitude, and decibels are `20 * log10(mel)`.
        (Kapre's own log-mel is neither: it takes `10 * log10` of mel bands of the magnitude, which
        halves the numbers of `power=1`.) Silence is cut off at -100 dB.
    dynamic_range_db : float or None
        Values further below the loudest point of the clip are raised to that floor; None keeps them.
    pad_end : bool
        Pad the end with zeros so that every sample is in a frame: `ceil(samples / hop)` frames.
    decibels : bool
        False leaves the mel bands as they are, for layers that compress them in another way, such as
        `Pcen`. `dynamic_range_db` then has no meaning.
    normalise : {None, "clip"}
        "clip": subtract each clip's mean and divide by its standard deviation, so that loudness is no clue.
    **kwargs
        `name` and the like. `dtype` is ignored.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        window_s: float = 0.032,
        hop_s: float = 0.016,
        n_mels: int = 64,
        f_min_hz: float = 0.0,
        f_max_hz: float | None = None,
        power: float = 2.0,
        dynamic_range_db: float | None = 80.0,
        pad_end: bool = True,
        decibels: bool = True,
        normalise: Literal["clip"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        if power not in (1, 2):
            raise BadArgumentError(f"power is {power}; it must be 1 (magnitude) or 2 (power).")
        if normalise not in (None, "clip"):
            raise BadArgumentError(f"normalise is {normalise!r}; it must be None or 'clip'.")
        if normalise and not decibels:
            raise BadArgumentError("normalise='clip' is meant for decibels; leave one of the two arguments out.")
        if not 0 <= f_min_hz < (f_max_hz or sample_rate / 2) <= sample_rate / 2:
            raise BadArgumentError(
                f"The mel bands go from {f_min_hz:g} Hz to {f_max_hz or sample_rate / 2:g} Hz; "
                f"they must rise and end at {sample_rate / 2:g} Hz or below."
            )
        self._config = {
            "sample_rate": sample_rate,
            "window_s": window_s,
            "hop_s": hop_s,
            "n_mels": n_mels,
            "f_min_hz": f_min_hz,
            "f_max_hz": f_max_hz,
            "power": power,
            "dynamic_range_db": dynamic_range_db,
            "pad_end": pad_end,
            "decibels": decibels,
            "normalise": normalise,
        }
        self.window, self.hop = round(window_s * sample_rate), round(hop_s * sample_rate)
        self.n_mels, self.power, self.pad_end = n_mels, power, pad_end
        self.decibels, self.normalise = decibels, normalise
        # Channels stand before frames until the very end: TFLite cannot transpose complex numbers.
        self.stft = kapre.STFT(
            n_fft=self.window,
            hop_length=self.hop,
            pad_end=pad_end,
            input_data_format="channels_last",
            output_data_format="channels_first",
            dtype="float32",
        )
        self.magnitude = kapre.Magnitude(dtype="float32")
        self.mel = kapre.ApplyFilterbank(
            "mel",
            {
                "sample_rate": sample_rate,
                "n_freq": self.window // 2 + 1,
                "n_mels": n_mels,
                "f_min": f_min_hz,
                "f_max": f_max_hz,
            },
            data_format="channels_first",
            dtype="float32",
        )
        # Kapre's layer takes 10 log10; for magnitudes its result is doubled below, so it gets half the range.
        self.decibel = kapre.MagnitudeToDecibel(
            amin=1e-10 if power == 2 else 1e-5,
            dynamic_range=float("inf") if dynamic_range_db is None else dynamic_range_db * power / 2,
            dtype="float32",
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Do nothing but tell Keras so: neither this layer nor Kapre's have weights to create."""
        for layer in (self.stft, self.magnitude, self.mel, self.decibel):
            layer.build(input_shape)

    def call(self, audio: tf.Tensor) -> tf.Tensor:
        """Map audio (batch, samples, 1) to log-mel (batch, frames, mels, 1)."""
        if audio.shape.rank != 3:
            raise BadArgumentError(f"LogMel needs audio of shape (batch, samples, 1), got {tuple(audio.shape)}.")
        magnitude = self.magnitude(self.stft(audio))
        mel = self.mel(tf.square(magnitude) if self.power == 2 else magnitude)
        mel = tf.transpose(mel, (0, 2, 3, 1))
        _, frames, mels, channels = self.compute_output_shape(audio.shape)
        if channels:  # written into the graph: TFLite converts no convolution over bands or channels of unknown number
            mel = tf.reshape(mel, (-1 if frames else tf.shape(mel)[0], frames or -1, mels, channels))
        if not self.decibels:
            return mel
        log_mel = self.decibel(mel) * (2 / self.power)
        if self.normalise == "clip":
            mean, variance = tf.nn.moments(log_mel, axes=[1, 2], keepdims=True)
            log_mel = (log_mel - mean) / (tf.sqrt(variance) + EPSILON)
        return log_mel

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return (batch, frames, mels, channels); frames is None where the number of samples is."""
        batch, samples, channels = input_shape
        if samples is None:
            frames = None
        elif self.pad_end:
            frames = -(-samples // self.hop)
        else:
            frames = max(0, 1 + (samples - self.window) // self.hop)
        return batch, frames, self.n_mels, channels

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, so that a saved model can be loaded."""
        return super().get_config() | self._config
