"""Players for notebooks: `play` for a sound, `player` for a sound with tracks that move with it."""

from dl4mir_utils.player.sound import play
from dl4mir_utils.player.sync import Player, player, standalone_html
from dl4mir_utils.player.tracks import ClassBars, Curve, HeatMap, Segments

__all__ = ["ClassBars", "Curve", "HeatMap", "Player", "Segments", "play", "player", "standalone_html"]
