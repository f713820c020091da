"""Auto classes: `import hfrecipes` is enough for transformers' to load reshaped models (see `reshaping.py`) and static ones.

Importing hfrecipes imports no transformers: what is to be registered waits until the module that holds the register is there.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

REGISTER = "transformers.models.auto.configuration_auto"
TYPE, BASE = "reshaped", "base_model_type"
"""The `model_type` of reshaped models, and the entry that holds the type that they were made from."""


def register() -> None:
    """Register reshaped and static models now, or as soon as transformers is imported."""
    if REGISTER in sys.modules:
        _register(sys.modules[REGISTER])
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


class _Waiting:
    """Sees the register being imported, and has it filled behind that."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """Nothing, but for the register: then what the other finders say, with a loader that fills it."""
        if fullname != REGISTER:
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(fullname)
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            _register(module)

        spec.loader.exec_module = exec_module
        return spec


def _register(module: Any) -> None:
    from transformers.configuration_utils import PreTrainedConfig

    if TYPE in module.CONFIG_MAPPING:
        return

    class ReshapedConfig(PreTrainedConfig):
        """Stands for the configurations of all reshaped models: reading one gives that of its base, with what differs."""

        model_type = TYPE

        @classmethod
        def from_dict(cls, config_dict: dict[str, Any], **named: Any) -> Any:
            from hfrecipes.reshaping import config_class

            return config_class(module.CONFIG_MAPPING[config_dict[BASE]]).from_dict(config_dict, **named)

    module.AutoConfig.register(TYPE, ReshapedConfig)
    from hfrecipes.static_config import StaticConfig

    module.AutoConfig.register(StaticConfig.model_type, StaticConfig)
