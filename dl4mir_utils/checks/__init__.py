"""Checks of the exercises: each says whether an answer is right and, if not, what to look at.

A check prints one line. It never shows the solution and never raises: a notebook runs through with its stubs.
One module holds the checks of one notebook. What is right is remembered for `make progress`.
"""

from dl4mir_utils.checks.attention import check_10_by_hand, check_10_causal, check_10_memory
from dl4mir_utils.checks.chords import (
    check_02_ambiguous,
    check_02_inversion,
    check_02_listen,
    check_02_parameters,
    check_02_stacked,
    mystery_chords,
    mystery_steps,
)
from dl4mir_utils.checks.convnets import (
    check_00c_listen,
    check_00c_nan,
    check_00c_shapes,
    check_00c_small,
    check_00c_stuck,
    mystery_kernels,
)
from dl4mir_utils.checks.end_to_end import (
    check_09_covered,
    check_09_musicnn_end,
    check_09_response,
    check_09_squeeze,
)
from dl4mir_utils.checks.front_ends import check_03_frames, check_03_resolution, check_03_swap
from dl4mir_utils.checks.genre import check_05b_balanced, check_05b_leak, check_05b_nested
from dl4mir_utils.checks.honest_data import (
    check_04_giveaway,
    check_04_split,
    check_04_weights,
    suspicious_clips,
)
from dl4mir_utils.checks.learning import (
    check_00b_by_ear,
    check_00b_small_network,
    check_00b_three_weights,
    check_00b_weight_decay,
)
from dl4mir_utils.checks.map import check_13_arxiv, check_13_listen, check_13_plan, check_13_row, mystery_inputs
from dl4mir_utils.checks.own_music import (
    check_11a_change,
    check_11a_coverage,
    check_11a_pie,
    check_11a_product,
    check_11a_thin,
    mystery_change,
)
from dl4mir_utils.checks.pitch import (
    check_01_bin,
    check_01_by_hand,
    check_01_listen,
    check_01_octaves,
    check_01_one_template,
    mystery_notes,
)
from dl4mir_utils.checks.recommendation import check_08_coverage, check_08_ndcg, check_08_playlist
from dl4mir_utils.checks.scaling import (
    check_12_amdahl,
    check_12_collection,
    check_12_four_workers,
    check_12_listen,
    mystery_bits,
)
from dl4mir_utils.checks.shipping import check_11b_by_ear, check_11b_kappa, check_11b_latency, check_11b_small
from dl4mir_utils.checks.singing import check_05a_always, check_05a_edges, check_05a_false_alarms
from dl4mir_utils.checks.start_here import (
    check_00_frames,
    check_00_listen,
    check_00_loudest,
    check_00_neighbours,
    mystery_sounds,
)
from dl4mir_utils.checks.tagging import check_06_micro, check_06_pairs, check_06_threshold
from dl4mir_utils.checks.transfer import check_07_join, check_07_noise, check_07_one_shot
from dl4mir_utils.progress import remembered

__all__ = [
    "check_00_frames",
    "check_00_listen",
    "check_00_loudest",
    "check_00_neighbours",
    "check_00b_by_ear",
    "check_00b_small_network",
    "check_00b_three_weights",
    "check_00b_weight_decay",
    "check_00c_listen",
    "check_00c_nan",
    "check_00c_shapes",
    "check_00c_small",
    "check_00c_stuck",
    "check_01_bin",
    "check_01_by_hand",
    "check_01_listen",
    "check_01_octaves",
    "check_01_one_template",
    "check_02_ambiguous",
    "check_02_inversion",
    "check_02_listen",
    "check_02_parameters",
    "check_02_stacked",
    "check_03_frames",
    "check_03_resolution",
    "check_03_swap",
    "check_04_giveaway",
    "check_04_split",
    "check_04_weights",
    "check_05a_always",
    "check_05a_edges",
    "check_05a_false_alarms",
    "check_05b_balanced",
    "check_05b_leak",
    "check_05b_nested",
    "check_06_micro",
    "check_06_pairs",
    "check_06_threshold",
    "check_07_join",
    "check_07_noise",
    "check_07_one_shot",
    "check_08_coverage",
    "check_08_ndcg",
    "check_08_playlist",
    "check_09_covered",
    "check_09_musicnn_end",
    "check_09_response",
    "check_09_squeeze",
    "check_10_by_hand",
    "check_10_causal",
    "check_10_memory",
    "check_11a_change",
    "check_11a_coverage",
    "check_11a_pie",
    "check_11a_product",
    "check_11a_thin",
    "check_11b_by_ear",
    "check_11b_kappa",
    "check_11b_latency",
    "check_11b_small",
    "check_12_amdahl",
    "check_12_collection",
    "check_12_four_workers",
    "check_12_listen",
    "check_13_arxiv",
    "check_13_listen",
    "check_13_plan",
    "check_13_row",
    "mystery_bits",
    "mystery_change",
    "mystery_chords",
    "mystery_inputs",
    "mystery_kernels",
    "mystery_notes",
    "mystery_sounds",
    "mystery_steps",
    "suspicious_clips",
]

for _name in __all__:
    if _name.startswith("check_"):
        globals()[_name] = remembered(globals()[_name])
