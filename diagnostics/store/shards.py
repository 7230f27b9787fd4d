"""Features and answers: one folder an extraction (model, prompt, options, readouts), in it shards of images."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics.store import mirror
from medprobe.diagnostics.store.files import (
    SUMS,
    BrokenFile,
    StoreError,
    arrays,
    locked,
    metadata,
    set_aside,
    unwritable,
    write,
)
from medprobe.fixtures.whole import settle

ABOUT, USES = "about.json", "uses.json"


@dataclass(frozen=True)
class Shard:
    """Rows of some images: arrays [n_images, ...] by name, and a text an image."""

    images: list[str]
    arrays: dict[str, NDArray[Any]]
    texts: list[str]


class Folder:
    """The shards of one extraction."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / name
        self._root = root
        self._draft = ".draft."
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(root, error) from None

    @contextmanager
    def lock(self, part: str = "") -> Iterator[None]:
        """Held while an extraction fills this folder, or a part of it, so that no other process computes the same.

        What a killed holder left is swept, and what the mirror holds is brought here.
        """
        with locked(self.path / f".lock{part}"):
            self._draft = f".draft{part}."
            for left in self.path.glob(f"{self._draft}*"):
                left.unlink(missing_ok=True)
            for name in mirror.held(self._root, self.path):
                mirror.pull(self._root, self.path / name, self._drafted(name))
            yield

    def describe(self, **about: str) -> None:
        """Keep how the shards were made; the first description stays."""
        if not (self.path / ABOUT).exists():
            self._note(ABOUT, about)

    def about(self) -> dict[str, str]:
        """How the shards were made."""
        return {key: str(value) for key, value in self._noted(ABOUT).items()}

    def used(self, model: str, dataset: str) -> None:
        """Keep who uses the shards, and when."""
        with suppress(OSError, StoreError), locked(self.path / ".uses"):  # not in a store that may only be read
            uses = self._noted(USES)
            now = {name: sorted({*uses.get(name, []), new}) for name, new in (("models", model), ("datasets", dataset))}
            if now != uses:
                self._note(USES, now)
            os.utime(self.path / USES)

    def uses(self) -> tuple[list[str], list[str]]:
        """Names of models and data sets."""
        found = self._noted(USES)
        return list(found.get("models", [])), list(found.get("datasets", []))

    def images(self) -> set[str]:
        """The images whose rows are here; a broken shard is set aside."""
        return {image for path in self.shards() for image in self._texts(path)}

    def add(self, shard: Shard) -> None:
        """Write a shard, whole or not at all. Raises StoreError."""
        name = hashlib.sha256("".join(shard.images).encode()).hexdigest()[:16] + ".safetensors"
        texts = {"images": json.dumps(shard.images), "texts": json.dumps(shard.texts)}
        write(self.path / name, self._drafted(name), shard.arrays, texts)

    def arrays(self, names: Iterable[str], images: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The named arrays, rows in the order of `images`. Raises KeyError for an image that is not here, and
        BrokenFile, with the file set aside.
        """
        names, wanted = list(names), set(images)
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        row: dict[str, int] = {}
        for path in self.shards():
            held = list(self._texts(path))
            if not wanted & set(held):
                continue
            start = len(row)
            fresh = [i for i, image in enumerate(held) if image not in row]
            row.update({held[i]: start + offset for offset, i in enumerate(fresh)})
            try:
                found = arrays(path, names)
            except BrokenFile as error:
                set_aside(path, error)
                raise
            for name in names:
                parts[name].append(found[name][fresh])
        order = [row[image] for image in images]
        return {name: np.concatenate(parts[name])[order] for name in names}

    def texts(self, images: Sequence[str]) -> list[str]:
        """The texts of `images`, in order."""
        found: dict[str, str] = {}
        for path in self.shards():
            found.update(self._texts(path))
        return [found[image] for image in images]

    def names(self) -> list[str]:
        """Names of the arrays in the shards."""
        return next((sorted(json.loads(metadata(path)[SUMS])) for path in self.shards() if self._texts(path)), [])

    def shards(self) -> list[Path]:
        return sorted(self.path.glob("*.safetensors"))

    @staticmethod
    def _texts(path: Path) -> dict[str, str]:
        """Text by image; none of a broken shard, which is set aside."""
        try:
            found = metadata(path)
        except BrokenFile as error:
            set_aside(path, error)
            return {}
        return dict(zip(json.loads(found["images"]), json.loads(found["texts"]), strict=True))

    def _drafted(self, name: str) -> Path:
        return self.path / (self._draft + name)

    def _note(self, name: str, content: Any) -> None:
        draft = self._drafted(name)
        try:
            draft.write_text(json.dumps(content), "utf-8")
            settle(draft, self.path / name)
        except OSError as error:
            raise unwritable(self.path, error) from None
        finally:
            draft.unlink(missing_ok=True)

    def _noted(self, name: str) -> dict[str, Any]:
        path = self.path / name
        return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}
