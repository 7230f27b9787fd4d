"""A model cut into pieces, every weight in exactly one, so that hybrids of two models can be put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from medprobe.diagnostics.records.chain import STAGES, Stage
from medprobe.fixtures.models.anatomy import Anatomy
from medprobe.fixtures.models.loaded import LoadedModel

Choice = tuple[int, ...]
"""How many layers of each of the four modules come from the second model, in the order of STAGES."""


@dataclass(frozen=True)
class Piece:
    """A module, parameter or buffer by its dotted name, the module of the chain it belongs to, and its layer there."""

    path: str
    stage: Stage
    layer: int


def pieces(model: nn.Module, anatomy: Anatomy) -> list[Piece]:
    """The pieces of `model`, in the order of their declaration.

    vision is the tower without connectors that lie in it, llm the decoder with its input embeddings and final norm,
    answer the head, and connector everything else: connector, DeepStack mergers, and bare weights between tower and
    decoder such as LLaVA-NeXT's newline. What is declared before the first block goes with it, what comes after
    a block with that block.
    """
    between = (anatomy.connector, *anatomy.deepstack)
    blocks = {*anatomy.vision_blocks, *anatomy.decoder_layers}
    whole = {*blocks, *between, anatomy.final_norm, anatomy.head}

    def stage_of(path: str) -> Stage:
        if path == anatomy.head:
            return "answer"
        if path in between:
            return "connector"
        if path.startswith(f"{anatomy.tower}."):
            return "vision"
        return "llm" if path.startswith(f"{anatomy.decoder}.") else "connector"

    def descend(module: nn.Module, prefix: str) -> Iterator[str]:
        yield from (f"{prefix}{name}" for table in (module._parameters, module._buffers) for name in table)
        for name, child in module._modules.items():
            path = f"{prefix}{name}"
            if child is None:
                continue
            if path not in whole and any(part.startswith(f"{path}.") for part in whole):
                yield from descend(child, f"{path}.")
            else:
                yield path

    seen = dict.fromkeys(STAGES, 0)
    found = []
    for path in descend(model, ""):
        stage = stage_of(path)
        seen[stage] += path in blocks
        found.append(Piece(path, stage, max(0, seen[stage] - 1)))
    return found


def depths(anatomy: Anatomy) -> Choice:
    """The number of layers of each module."""
    return len(anatomy.vision_blocks), 1, len(anatomy.decoder_layers), 1


class Assembly:
    """Puts pieces of a second model of the same architecture into the first. What lies around the pieces stays."""

    def __init__(self, loaded: LoadedModel, against: LoadedModel) -> None:
        self._slots: list[tuple[Piece, dict[str, Any], str, tuple[Any, Any]]] = []
        for piece in pieces(loaded.model, loaded.anatomy):
            place, name = _slot(loaded.model, piece.path)
            other, _ = _slot(against.model, piece.path)
            self._slots.append((piece, place, name, (place[name], other[name])))

    def assemble(self, choice: Choice) -> None:
        """Make the first model the hybrid of `choice`; (0, 0, 0, 0) makes it itself again."""
        taken = dict(zip(STAGES, choice, strict=True))
        for piece, place, name, versions in self._slots:
            place[name] = versions[piece.layer < taken[piece.stage]]


def _slot(model: nn.Module, path: str) -> tuple[dict[str, Any], str]:
    """The table of a parent that holds `path`, and its key there."""
    parent, _, name = path.rpartition(".")
    module = model.get_submodule(parent)
    tables: tuple[dict[str, Any], ...] = (module._parameters, module._buffers, module._modules)
    return next(table for table in tables if name in table), name
