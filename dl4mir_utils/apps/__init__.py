"""What a practitioner runs, on LiteRT: `dl4mir tag`, `sing`, `similar` and `genre`.

Nothing here imports TensorFlow, Keras, Kapre, librosa, SciPy, pandas or Matplotlib: the base install has none of them.
"""
