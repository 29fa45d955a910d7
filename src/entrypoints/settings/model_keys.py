"""The API keys of the upstreams of LONGTASK_MODELS that stand in variables of their own."""

import os
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from entrypoints.outside_text import header_word
from entrypoints.settings.malformed import MALFORMED
from entrypoints.settings.model import ModelSettings
from entrypoints.settings.sources import named_in

_MAP = "LONGTASK_MODELS"


def with_upstream_keys(
    model: ModelSettings, env_file: Path | None
) -> tuple[ModelSettings, list[str]]:
    """Return the settings with the key of each upstream that names a variable (`apiKeyEnv`), and
    what is wrong with those. The environment wins over the file; but a map in the file, which the
    user may not have written, never decides where a key of the environment is sent."""
    found = model.models
    if found is None or found is MALFORMED:
        return model, []
    filed = _values(env_file)
    of_file = _MAP in named_in(env_file) and not os.environ.get(_MAP)
    upstreams, faults = [], []
    for index, each in enumerate(found.upstreams):
        key, fault = None, None
        if (name := each.api_key_env) is not None:
            value = os.environ.get(name) or filed.get(name) or ""
            try:
                key = SecretStr(header_word(value))
            except ValueError as error:
                fault = f"{name} {error}"
            if not value.strip():
                fault = f"{name} is not set"
            elif of_file and os.environ.get(name):
                fault = (
                    f"{name} is set in the environment, but {env_file} says where it would be "
                    f"sent: set {_MAP} in the environment, or {name} in the file only"
                )
        if fault is not None:
            faults.append(f"{_MAP}: upstreams[{index}].apiKeyEnv: {fault}")
        upstreams.append(each if key is None else each.model_copy(update={"api_key": key}))
    keyed = found.model_copy(update={"upstreams": tuple(upstreams)})
    return model.model_copy(update={"models": keyed}), faults


def _values(env_file: Path | None) -> dict[str, str | None]:
    return dotenv_values(env_file) if env_file is not None and env_file.is_file() else {}
