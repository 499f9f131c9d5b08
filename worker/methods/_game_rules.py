"""What players, baselines and values demand of each other and of the input, as rules that the gateway knows too."""

from __future__ import annotations

from typing import Final

from jobs.rules import Rule

DEFAULT_COUNT: Final = 10
"""Players among drawn cells or a picture's own regions where no number is asked for; the AND-OR paper's."""

GRID: Final = "(kind == 'image' and (players == 'grid' or players == 'auto' and layer == None and prior != 'given'))"
"""Whether the players are the cells of a grid."""
_REGIONS: Final = (
    "(kind == 'image' and (players == 'regions' or players == 'auto' and layer == None and prior == 'given'))"
)
_CELLS: Final = "(kind == 'image' and (players == 'cells' or players == 'auto' and layer != None))"
_COUNT: Final = f"(count if count != None else {DEFAULT_COUNT})"
_THERE: Final = "(words if kind == 'tokens' else inputs)"
_CENTRAL: Final = "max(cell_grid - 2 * cell_border, 0) ** 2"

PLAYER_COUNT: Final = (
    f"(grid_rows * grid_columns if {GRID} else "
    f"(given_regions if {_REGIONS} and prior == 'given' and count == None else "
    f"({_COUNT} if kind == 'image' else "
    f"(len(groups) if groups != None else (count if count != None else {_THERE})))))"
)
"""Arithmetic for the number of players; of a picture's own regions there may be fewer, but not more."""

CONSISTENCY: Final = (
    Rule(
        holds="(prior == 'given') == (regions != None)",
        expected="regions together with prior=given, and only then",
        parameter="regions",
    ),
    Rule(
        holds="baseline_values != None or baseline != 'given' and "
        "(player_baselines == None or 'given' not in player_baselines)",
        expected="baseline_values with baseline=given",
        parameter="baseline_values",
    ),
    Rule(
        holds="baseline_values == None or baseline == 'given' or "
        "player_baselines != None and 'given' in player_baselines",
        expected="baseline=given with baseline_values",
        parameter="baseline",
    ),
    Rule(
        holds="count == None or groups == None and players != 'grid'",
        expected="no count where groups or the cells of a grid are the players",
        parameter="count",
    ),
)
"""Demands on the parameters alone."""

FITTING: Final = (
    Rule(
        holds="players == 'auto' or "
        "kind == ('features' if players == 'columns' else ('tokens' if players == 'words' else 'image'))",
        expected="players that the input has: grid, cells or regions of a picture, columns of a table, words of a text",
        parameter="players",
    ),
    Rule(
        holds="layer == None or kind == 'image' and (players == 'grid' or players == 'cells' or players == 'auto')",
        expected="players grid or cells of a picture's model behind a layer",
        parameter="layer",
    ),
    Rule(holds="groups == None or kind != 'image'", expected="groups for columns and words only", parameter="groups"),
    Rule(
        holds=f"not {GRID} or layer != None or grid_rows <= height and grid_columns <= width",
        expected="no more cells on a side than the picture has pixels",
        fitting="min(height, width)",
        parameter="grid_rows",
    ),
    Rule(
        holds=f"not {_CELLS} or {_COUNT} <= {_CENTRAL}",
        expected="no more players than there are cells inside the border of cell_grid",
        fitting=_CENTRAL,
        got=_COUNT,
        parameter="count",
    ),
    Rule(
        holds=f"count == None or players != 'auto' or not {GRID}",
        expected="no count for the cells of a grid: set grid_rows and grid_columns, or players to cells or regions",
        parameter="count",
    ),
    Rule(
        holds=f"count == None or kind == 'image' or count <= {_THERE}",
        expected="no more players than columns or words",
        fitting=_THERE,
        got="count",
        parameter="count",
    ),
    Rule(
        holds=f"count == None or not {_REGIONS} or prior != 'given' or count <= given_regions",
        expected="no more players than given regions",
        fitting="given_regions",
        got="count",
        parameter="count",
    ),
    Rule(
        holds=f"2 <= {PLAYER_COUNT}",
        expected="at least 2 players, as one alone cannot interact",
        got=PLAYER_COUNT,
        parameter="players",
    ),
    Rule(
        holds="baseline == 'auto' or (baseline == 'mask') == (kind == 'tokens')",
        expected="baseline mask for a text, and only for a text",
        parameter="baseline",
    ),
    Rule(
        holds="kind != 'features' or baseline == 'auto' or baseline == 'zeros' or baseline == 'given'",
        expected="baseline zeros or given for columns",
        parameter="baseline",
    ),
    Rule(
        holds="layer == None or baseline != 'black' and baseline != 'given' and "
        "(player_baselines == None or 'black' not in player_baselines and 'given' not in player_baselines)",
        expected="baseline zeros, mean or blur for a feature map",
        parameter="baseline",
    ),
    Rule(
        holds="baseline_values == None or kind == 'tokens' or "
        "len(baseline_values) == (inputs if kind == 'features' else channels)",
        expected="one baseline value a column, or a channel of the picture",
        fitting="inputs if kind == 'features' else channels",
        got="len(baseline_values) if baseline_values != None else 0",
        parameter="baseline_values",
    ),
    Rule(
        holds="baseline_values == None or kind != 'image' or 0 <= min(baseline_values) and max(baseline_values) <= 1",
        expected="a colour from 0 to 1 in every channel",
        parameter="baseline_values",
    ),
    Rule(
        holds=f"player_baselines == None or kind != 'tokens' and len(player_baselines) <= {PLAYER_COUNT}",
        expected="one baseline a player of a picture or a table",
        fitting=PLAYER_COUNT,
        got="len(player_baselines) if player_baselines != None else 0",
        parameter="player_baselines",
    ),
    Rule(
        holds="not contrast or value != 'probability'",
        expected="log-odds or logit for a contrast of two classes",
        parameter="value",
    ),
)
"""Demands that hang on the input."""


SAME_PLAYERS: Final = Rule(
    # A picture's own regions may turn out fewer than asked for.
    holds=f"compare_with == None or compared_players == {PLAYER_COUNT} or "
    f"{_REGIONS} and prior != 'given' and compared_players < {PLAYER_COUNT}",
    expected="values of as many players as play here",
    fitting=PLAYER_COUNT,
    got="compared_players",
    parameter="compare_with",
)
"""Demand of a method that compares with values from elsewhere."""


def at_most(players: int) -> Rule:
    """Return the demand of a method that can have so many players."""
    return Rule(
        holds=f"{PLAYER_COUNT} <= {players}",
        expected=f"at most {players} players, fewer by count, groups, grid_rows or grid_columns",
        got=PLAYER_COUNT,
        parameter="players",
    )
