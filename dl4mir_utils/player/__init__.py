"""For notebooks: `play` a sound, a `player` with tracks that move with it, a `sound_map` of many sounds."""

from dl4mir_utils.player.sound import play
from dl4mir_utils.player.sound_map import SoundMap, sound_map
from dl4mir_utils.player.sync import Player, player, standalone_html
from dl4mir_utils.player.tracks import ClassBars, Curve, HeatMap, Segments

__all__ = [
    "ClassBars",
    "Curve",
    "HeatMap",
    "Player",
    "Segments",
    "SoundMap",
    "play",
    "player",
    "sound_map",
    "standalone_html",
]
