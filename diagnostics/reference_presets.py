"""Which references there are, and which network a name means. Imports neither torch nor timm."""

from __future__ import annotations

import difflib
import importlib.util
import re
from pathlib import Path

DEFAULT = "kmeans-filters"

PRESETS = {
    "cnn": "resnet50.a1_in1k",
    "mlp": "resmlp_24_224.fb_in1k",
    "vit": "deit_small_patch16_224.fb_in1k",
    "hybrid": "coatnet_0_rw_224.sw_in1k",
}
"""One network a kind of arXiv 2604.08333, alike but in kind: 22 to 30 million parameters, 224 pixels, ImageNet-1k."""

_NAME = re.compile(r"\w+(\.[\w-]+)?", re.ASCII)
_REGISTERED = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)


class UnknownReference(ValueError):
    """No reference has this name, or timm is not installed."""


def resolve(name: str) -> str:
    """`kmeans-filters`, or the name of the timm network that `name` means.

    Raises UnknownReference. The tag after a dot (which weights) is known to timm alone and is not looked at here.
    """
    if name == DEFAULT:
        return name
    network = PRESETS.get(name, name)
    if not _NAME.fullmatch(network):
        raise UnknownReference(f"{name!r} is no name of a reference: {_choices()}")
    architectures = _architectures()
    if network.partition(".")[0] not in architectures:
        near = difflib.get_close_matches(network.partition(".")[0], [DEFAULT, *PRESETS, *sorted(architectures)], n=3)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise UnknownReference(f"unknown reference {name!r}: {_choices()}{hint}")
    return network


def _choices() -> str:
    return f"it is {DEFAULT}, {', '.join(PRESETS)} or a network of timm"


def _architectures() -> set[str]:
    """The networks timm registers, read from its source, since importing it takes torch and seconds."""
    spec = importlib.util.find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise UnknownReference(f"every reference but {DEFAULT} needs the package timm: pip install timm")
    files = (Path(spec.submodule_search_locations[0]) / "models").glob("*.py")
    return {name for file in files for name in _REGISTERED.findall(file.read_text("utf-8"))}
