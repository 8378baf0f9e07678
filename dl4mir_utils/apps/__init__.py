"""What a practitioner runs, on LiteRT: `dl4mir tag`, `sing` and `similar`.

Nothing here imports TensorFlow, Keras, Kapre, librosa, SciPy, pandas or Matplotlib: the base install has none of them.
"""
