"""For notebooks: `play` a sound, a `player` with tracks that move with it, a `sound_map`, a `slide`, a `guess`.

And `listen`, for the microphone.
"""

from dl4mir_utils.player.guess import Guess, guess
from dl4mir_utils.player.microphone import Listener, listen
from dl4mir_utils.player.slide import Slide, slide
from dl4mir_utils.player.sound import play
from dl4mir_utils.player.sound_map import SoundMap, sound_map
from dl4mir_utils.player.sync import Player, player, standalone_html
from dl4mir_utils.player.tracks import ClassBars, Curve, HeatMap, Segments

__all__ = [
    "ClassBars",
    "Curve",
    "Guess",
    "HeatMap",
    "Listener",
    "Player",
    "Segments",
    "Slide",
    "SoundMap",
    "guess",
    "listen",
    "play",
    "player",
    "slide",
    "sound_map",
    "standalone_html",
]
