"""Has LONGTASK_PRICES a price for the models that the settings name?"""

from domain.model_names import is_exact, matches_any
from entrypoints.doctor.findings import Findings, ok, warn
from entrypoints.settings import Settings


async def check_prices(settings: Settings) -> Findings:
    """A server may answer with a longer name, which only the usage tells (`unpriced`)."""
    prices = settings.usage.price_table
    if not prices:
        return
    named = _named(settings)
    if unpriced := [each for each in named if prices.of(each) is None]:
        yield warn(
            "model",
            f"LONGTASK_PRICES has no price for {', '.join(unpriced)}",
            "add one, with * behind the name if the server answers with a longer one",
        )
    elif named:
        yield ok("model", f"LONGTASK_PRICES has a price for {', '.join(named)}")


def _named(settings: Settings) -> list[str]:
    """Return the models that the settings name without `*`, as their servers call them."""
    models = settings.model.models
    if models is None:
        return [] if settings.model.demo else [settings.model.default_model]
    named = [
        name
        for each in models.upstreams
        if not each.demo
        for name in (
            *(model for model in each.models if not matches_any(each.names, model)),
            *each.names.values(),
        )
        if is_exact(name)
    ]
    return list(dict.fromkeys(named))
