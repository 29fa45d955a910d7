"""Says what a change has made dearer, by figures that were accepted before it."""

from collections.abc import Iterator, Mapping

TOLERANCE = 0.03
"""By how much a figure may differ from the accepted one: more than two runs of the same do."""


def verdict(figures: Mapping[str, int], accepted: Mapping[str, int]) -> Iterator[str]:
    """Return a line for each figure that is dearer than the accepted one by more than TOLERANCE, or
    cheaper by as much, so that the accepted one says too little; and one for each that is new. No
    line means that nothing has changed."""
    for name, figure in figures.items():
        before = accepted.get(name)
        if before is None:
            yield f"NEW      {name}: {figure:,}"
        elif abs(figure - before) > TOLERANCE * before:
            word = "DEARER" if figure > before else "cheaper"
            yield f"{word:<8} {name}: {before:,} -> {figure:,} ({figure / before - 1:+.1%})"
