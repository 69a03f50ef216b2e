"""A user's own configs come before the project's."""

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.plugins.search_path_plugin import SearchPathPlugin


class OwnConfigsFirst(SearchPathPlugin):
    """Those that digits.runs.configs.own_first names."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        from digits.runs import configs

        for folder in reversed(configs.own()):
            search_path.prepend("own", f"file://{folder}", SearchPathQuery(provider="main"))
