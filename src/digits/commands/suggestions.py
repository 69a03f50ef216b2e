"""What is said of a setting that does not exist."""

import re

import hydra
from hydra.errors import ConfigCompositionException

from digits.commands import settings

SEE = "--cfg job shows all"


def explain(error: Exception, configs: str, config_name: str) -> str | None:
    """Which setting of `configs`/`config_name` may have been meant; None for any other error."""
    unknown = re.match(r"Could not override '(.+?)'", str(error))
    if unknown is None or not isinstance(error, ConfigCompositionException):
        return None
    key = unknown[1]
    with hydra.initialize_config_dir(configs, version_base="1.3"):
        closest = settings.closest(key, hydra.compose(config_name))
    if closest == key:
        return f"{key}: no such setting in the groups chosen; {SEE}"
    return f"{key}: no such setting; " + (f"did you mean {closest}?" if closest else SEE)
