"""For notebooks: `play` a sound, a `player` with tracks that move with it, a `sound_map`, a `slide`, a `guess`."""

from dl4mir_utils.player.guess import Guess, guess
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
    "Player",
    "Segments",
    "Slide",
    "SoundMap",
    "guess",
    "play",
    "player",
    "slide",
    "sound_map",
    "standalone_html",
]
