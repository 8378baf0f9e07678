import warnings

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

from dl4mir_utils import BadArgumentError
from dl4mir_utils.layers import LogMel, Pcen, PitchShift, RandomGain, SpecAugment

RATE = 16000

pytestmark = pytest.mark.filterwarnings("error::UserWarning")  # a notebook shows them as red boxes


def make_audio(clips=3, samples=RATE):
    """Noise, a chirp-like sum of tones, and noise with a silent half: float32 (clips, samples, 1)."""
    rng = np.random.default_rng(0)
    time = np.arange(samples) / RATE
    audio = np.stack(
        [0.3 * rng.standard_normal(samples)]
        + [0.4 * np.sin(2 * np.pi * 440 * (i + 1) * time * (1 + time)) for i in range(clips - 1)]
    ).clip(-1, 1)
    audio[-1, samples // 2 :] = 0
    return audio[..., np.newaxis].astype("float32")


def librosa_mel(audio, power, hop=256, **kwargs):
    """Mel of (batch, samples, 1) by librosa with the end padded as the layer does: (batch, frames, mels)."""
    samples = audio.shape[1]
    padded = np.pad(audio[..., 0], ((0, 0), (0, (-(-samples // hop) - 1) * hop + 512 - samples)))
    mel = librosa.feature.melspectrogram(
        y=padded, sr=RATE, n_fft=512, hop_length=hop, center=False, power=power, n_mels=64, **kwargs
    )
    return mel.transpose(0, 2, 1)


def log_mel_front():
    return [LogMel(normalise="clip"), SpecAugment()]


def pcen_front():
    return [LogMel(power=1, decibels=False), Pcen(bias=0.01)]


FRONTS = pytest.mark.parametrize("front", [log_mel_front, pcen_front])


def make_model(front, samples=None):
    return keras.Sequential(
        [
            keras.Input((samples, 1)),
            RandomGain(6.0, seed=1),
            *front(),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation="softmax", dtype="float32"),
        ]
    )


@pytest.fixture(autouse=True)
def float32_policy():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("range_hz", [{}, {"f_min_hz": 50.0, "f_max_hz": 6000.0}])
def test_mel_equals_librosa(power, range_hz):
    audio = make_audio()
    log_mel = LogMel(power=power, dynamic_range_db=None, **range_hz)(audio).numpy()[..., 0]
    expected = librosa_mel(
        audio, power, **{name.replace("_hz", "").replace("_", ""): hz for name, hz in range_hz.items()}
    )
    mel = 10.0 ** (log_mel.astype("float64") / (20 / power))
    assert log_mel.shape == expected.shape == (3, 63, 64)
    np.testing.assert_allclose(mel[0], expected[0], rtol=1e-5)  # noise: every band holds something
    for ours, theirs in zip(mel, expected, strict=True):  # tones: empty bands hold rounding errors
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * theirs.max())


@pytest.mark.parametrize("top_db", [80.0, 40.0, None])
@pytest.mark.parametrize(("power", "to_db"), [(2.0, librosa.power_to_db), (1.0, librosa.amplitude_to_db)])
def test_decibels_equal_librosa_per_clip(power, to_db, top_db):
    audio = make_audio() + 1e-3 * make_audio()[:1]  # a little noise everywhere: no band is empty
    log_mel = LogMel(power=power, dynamic_range_db=top_db)(audio).numpy()[..., 0]
    mel = librosa_mel(audio, power)
    for ours, clip in zip(log_mel, mel, strict=True):
        near_the_top = 80  # dB; further down, float32 rounding of the two Fourier transforms shows
        expected = to_db(clip, ref=1.0, top_db=top_db)
        audible = expected > expected.max() - near_the_top
        np.testing.assert_allclose(ours[audible], expected[audible], rtol=0, atol=2e-3)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=0.02)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_without_decibels_the_mel_bands_are_left_as_they_are(power):
    mel = LogMel(power=power, decibels=False)(make_audio()).numpy()[..., 0]
    expected = librosa_mel(make_audio(), power)
    np.testing.assert_allclose(mel, expected, rtol=0, atol=1e-5 * expected.max())


def test_stereo_channels_are_computed_apart():
    left, right = make_audio()[:1], make_audio()[1:2]
    stereo = LogMel()(np.concatenate([left, right], axis=2)).numpy()
    quiet, loud = LogMel(dynamic_range_db=None)(left).numpy(), LogMel(dynamic_range_db=None)(right).numpy()
    floor = max(quiet.max(), loud.max()) - 80  # one floor for the clip
    np.testing.assert_allclose(stereo[..., :1], np.maximum(quiet, floor), atol=1e-3)
    np.testing.assert_allclose(stereo[..., 1:], np.maximum(loud, floor), atol=1e-3)


@pytest.mark.parametrize("arguments", [{}, {"smoothing": 0.4, "gain": 0.5, "bias": 0.01, "root": 0.25}])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_pcen_equals_librosa(arguments, jit_compile):
    mel = LogMel(power=1, decibels=False)(make_audio(samples=10 * RATE))
    layer = Pcen(**arguments)
    layer.build(mel.shape)
    ours = tf.function(layer, jit_compile=jit_compile)(mel).numpy()
    names = {"smoothing": "b", "root": "power"}
    renamed = {names.get(name, name): value for name, value in ({"smoothing": 0.025} | arguments).items()}
    for clip, energy in zip(ours, mel.numpy(), strict=True):
        expected = librosa.pcen(energy, axis=0, zi=(1 - renamed["b"]) * energy[:1], **renamed)
        np.testing.assert_allclose(clip, expected, rtol=1e-4, atol=1e-5)


def test_pcen_takes_loudness_away_and_starts_at_once():
    mel = tf.constant(np.random.default_rng(0).uniform(0.1, 1, (1, 300, 8, 1)).astype("float32"))
    layer = Pcen(gain=1.0, bias=0.1)
    np.testing.assert_allclose(layer(100 * mel), layer(mel), rtol=1e-3)
    steady = layer(tf.ones((1, 300, 8, 1))).numpy()
    np.testing.assert_allclose(steady, steady[0, 0, 0, 0], rtol=1e-5)
    assert not layer(tf.zeros((1, 300, 8, 1))).numpy().any()


def test_pcen_trains_unless_told_otherwise():
    fixed, free = Pcen(trainable=False), Pcen()
    for layer in (fixed, free):
        layer.build((None, None, 8, 1))
    assert len(free.trainable_weights) == len(fixed.weights) == 3
    assert not fixed.trainable_weights


@FRONTS
def test_converts_to_tflite_without_tensorflow_operations(front, tmp_path):
    keras.utils.set_random_seed(0)  # TFLite rounds otherwise; how far that goes depends on the weights
    model = make_model(front, RATE)
    model.export(tmp_path / "exported", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "exported"))
    assert converter.target_spec.supported_ops == {tf.lite.OpsSet.TFLITE_BUILTINS}
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # it announces its move to another package
        runner = tf.lite.Interpreter(model_content=converter.convert()).get_signature_runner("serving_default")
    (name,) = runner.get_input_details()
    for clip in make_audio():
        (output,) = runner(**{name: clip[np.newaxis]}).values()
        np.testing.assert_allclose(output, model(clip[np.newaxis]), atol=1e-4)


def test_normalise_clip_and_silence():
    log_mel = LogMel(normalise="clip")(make_audio()).numpy()
    np.testing.assert_allclose(log_mel.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(log_mel.std(axis=(1, 2, 3)), 1, atol=1e-4)
    assert not LogMel(normalise="clip")(np.zeros((1, RATE, 1), "float32")).numpy().any()


@pytest.mark.parametrize(("pad_end", "samples"), [(True, 160000), (True, 40961), (False, 40961), (False, 512)])
def test_shapes(pad_end, samples):
    layer = LogMel(pad_end=pad_end)
    output = layer(np.zeros((2, samples, 1), "float32"))
    assert output.dtype == tf.float32
    assert tuple(output.shape) == layer.compute_output_shape((2, samples, 1))
    assert layer.compute_output_shape((None, None, 1)) == (None, None, 64, 1)
    assert samples != 160000 or output.shape[1] == 625


@FRONTS
def test_variable_length_and_keras_save(front, tmp_path):
    model = make_model(front)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for samples in (8000, RATE):
        audio = make_audio(samples=samples)
        np.testing.assert_array_equal(loaded.predict(audio, verbose=0), model.predict(audio, verbose=0))


def test_all_arguments_survive_saving():
    arguments = {
        "sample_rate": 22050,
        "window_s": 0.05,
        "hop_s": 0.01,
        "n_mels": 40,
        "f_min_hz": 30.0,
        "f_max_hz": 8000.0,
        "power": 1.0,
        "dynamic_range_db": None,
        "pad_end": False,
        "decibels": True,
        "normalise": "clip",
    }
    config = LogMel.from_config(LogMel(**arguments, name="front").get_config()).get_config()
    assert config | arguments | {"name": "front"} == config
    gains = {"smoothing": 0.1, "gain": 0.5, "bias": 0.01, "root": 0.3, "trainable": False}
    config = Pcen.from_config(Pcen(**gains).get_config()).get_config()
    assert config | gains == config
    masks = {"frequency_masks": 2, "frequency_width": 3, "time_masks": 4, "time_width": 5, "fill": "min"}
    config = SpecAugment.from_config(SpecAugment(**masks).get_config()).get_config()
    assert config | masks == config


@FRONTS
def test_export_to_saved_model(front, tmp_path):
    model = make_model(front)
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(tmp_path / "exported")
    for samples in (8000, RATE):
        audio = make_audio(samples=samples)
        np.testing.assert_allclose(served.serve(audio), model(audio), atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("jit_compile", [False, True])
@FRONTS
def test_trains_under_every_policy(policy, jit_compile, front):
    expected = LogMel()(make_audio()).numpy()
    keras.config.set_dtype_policy(policy)
    log_mel = LogMel()(make_audio())
    assert log_mel.dtype == tf.float32
    np.testing.assert_array_equal(log_mel, expected)
    model = make_model(front, RATE)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=jit_compile)
    before = [weight.numpy() for weight in model.trainable_weights]
    history = model.fit(make_audio(), np.array([0, 1, 2]), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert all((a != b.numpy()).any() for a, b in zip(before, model.trainable_weights, strict=True))


def test_gradient_reaches_the_audio_also_in_silence():
    audio = tf.constant(make_audio())
    for power in (1.0, 2.0):
        with tf.GradientTape() as tape:
            tape.watch(audio)
            loss = tf.reduce_sum(LogMel(power=power)(audio))
        gradient = tape.gradient(loss, audio).numpy()
        assert np.isfinite(gradient).all()
        assert np.abs(gradient[0]).max() > 0


@pytest.mark.parametrize("layer", [SpecAugment(2, 8, 2, 10), SpecAugment(fill="min"), RandomGain(), PitchShift()])
def test_augmentation_only_in_training(layer):
    keras.utils.set_random_seed(0)
    audio = make_audio()
    inputs = tf.constant(audio) if isinstance(layer, RandomGain) else LogMel()(audio)
    np.testing.assert_array_equal(layer(inputs), inputs)
    np.testing.assert_array_equal(layer(inputs, training=False), inputs)
    first, second = layer(inputs, training=True).numpy(), layer(inputs, training=True).numpy()
    assert first.shape == tuple(inputs.shape)
    assert (first != inputs.numpy()).any()
    assert (first != second).any()


def test_pitch_shift_moves_bands_by_its_factor_and_keeps_time():
    picture = np.zeros((64, 10, 80, 1), np.float32)
    picture[:, 4, 40] = 1
    shifted = PitchShift(0.2, seed=0)(picture, training=True).numpy()[..., 0]
    assert (shifted[:, [0, 1, 2, 3, 5, 6, 7, 8, 9]] == 0).all()
    peaks = shifted[:, 4].argmax(axis=1)
    assert 33 <= peaks.min() < 36
    assert 44 < peaks.max() <= 50
    with pytest.raises(BadArgumentError, match="between 0 and 1"):
        PitchShift(1.5)


@pytest.mark.parametrize("fill", ["mean", "min"])
def test_masks_hold_the_clips_own_value(fill):
    log_mel = LogMel()(make_audio())
    masked = SpecAugment(1, 8, 1, 16, fill=fill)(log_mel, training=True).numpy()
    for before, after in zip(log_mel.numpy(), masked, strict=True):
        changed = np.abs(after - before) > 1e-3
        expected = before.mean() if fill == "mean" else before.min()
        np.testing.assert_allclose(after[changed], expected, atol=1e-3)


def test_gain_stays_in_range():
    audio = np.full((200, 10, 1), 0.1, "float32")
    gain_db = 20 * np.log10(RandomGain(6.0, seed=0)(audio, training=True).numpy()[:, 0, 0] / 0.1)
    assert -6.001 <= gain_db.min() < -4 < 4 < gain_db.max() <= 6.001


@pytest.mark.parametrize(
    "wrong",
    [
        {"power": 3.0},
        {"normalise": "batch"},
        {"f_min_hz": 9000.0},
        {"f_max_hz": 9000.0},
        {"normalise": "clip", "decibels": False},
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises(BadArgumentError):
        LogMel(**wrong)


@pytest.mark.parametrize("wrong", [{"smoothing": 0.0}, {"smoothing": 1.0}, {"gain": 0}, {"bias": -1}, {"root": 0}])
def test_wrong_arguments_of_pcen(wrong):
    with pytest.raises(BadArgumentError):
        Pcen(**wrong)


def test_wrong_rank_is_explained():
    with pytest.raises(BadArgumentError, match="batch, samples, 1"):
        LogMel()(np.zeros((2, RATE), "float32"))
