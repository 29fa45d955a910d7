"""Has the page's libraries in every package that is built where npm is: what hatchling calls."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
from fetch import NotFetched, fetch


class VendorHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Without npm the package is built without them, and its page shows code plain: who only
        installs it needs no Node. An editable installation has what `make vendor` made."""
        if version == "editable":
            return
        try:
            fetch()
        except NotFetched as error:
            self.app.display_warning(f"The page will show code and formulas plain: {error}")
