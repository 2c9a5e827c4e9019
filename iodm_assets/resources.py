"""What a run works with. Nothing is read before a run or a tick asks."""

from __future__ import annotations

import dagster as dg

from pipelines.demo import demo_settings
from pipelines.settings import Settings, load_settings
from pipelines.warehouse import Warehouse


class SettingsResource(dg.ConfigurableResource[Settings]):
    """The same `IODM_*` settings as the command line's; without `IODM_BASE_URL` those of the demo.

    The demo reads a simulator on this machine into the folder `demo` of the warehouse, never into the warehouse itself.
    """

    def load(self) -> Settings:
        """Read the environment and `.env` now.

        Raises:
            SettingsError: a value is wrong.
        """
        settings = load_settings()
        return settings if settings.base_url else demo_settings(settings)

    def warehouse(self) -> Warehouse:
        """Where these settings say that the data lies; nothing is made there.

        Raises:
            SettingsError: a value is wrong.
        """
        return Warehouse(self.load().warehouse.absolute())
