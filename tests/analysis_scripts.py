"""The scripts of analysis/ as modules."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

ANALYSIS = Path(__file__).resolve().parents[1] / "analysis"


@cache
def script(name: str) -> ModuleType:
    """analysis/NAME.py, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"analysis_{name}", ANALYSIS / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
