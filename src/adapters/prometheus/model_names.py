"""Which names of models label metrics."""

MOST = 50
OTHER = "other"


class ModelNames:
    """The names that an upstream has answered with, the first `MOST` of this process. A name that
    only a client wrote is never one: clients could make up any number of them."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def label(self, name: str, *, answered: bool) -> str:
        """Return the label of a model, `OTHER` if it has none. `answered`: whether an upstream has
        answered with this name."""
        if name in self._names:
            return name
        if not answered or len(self._names) >= MOST:
            return OTHER
        self._names.add(name)
        return name
