"""Features and answers on disk, by content: written once, read by every later run.

One folder an extraction (model, prompt, options, readouts), in it shards of images as safetensors. A shard is written
beside its place and moved there, so a file that exists is whole. Reading needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

FORMAT = "2"


class StoreError(RuntimeError):
    """The store cannot be written; one sentence with the path and the mend."""


def key(**content: Any) -> str:
    """A name for what depends on exactly `content`."""
    return hashlib.sha256(json.dumps({"format": FORMAT, **content}, sort_keys=True).encode()).hexdigest()[:32]


def default_store() -> Path:
    """The folder used without --store."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("medprobe")) / "store"


@dataclass(frozen=True)
class Shard:
    """Rows of some images: arrays [n_images, ...] by name, and a text an image."""

    images: list[str]
    arrays: dict[str, NDArray[np.float32]]
    texts: list[str]


class Folder:
    """The shards of one extraction."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / name
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the store {root} cannot be written ({error.strerror}); name another with --store"
            ) from None

    @contextmanager
    def lock(self, part: str = "") -> Iterator[None]:
        """Held while an extraction fills this folder, or a part of it, so that no other process computes the same."""
        lock = FileLock(self.path / f".lock{part}")
        try:
            lock.acquire()
        except OSError as error:
            raise StoreError(
                f"the store {self.path} cannot be written ({_cause(error)}); name another with --store"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def describe(self, **about: str) -> None:
        """Keep how the shards were made; the first description stays."""
        path = self.path / "about.json"
        if not path.exists():
            handle, draft = tempfile.mkstemp(prefix=".draft-", dir=self.path)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(about, file)
            os.replace(draft, path)

    def about(self) -> dict[str, str]:
        """How the shards were made."""
        path = self.path / "about.json"
        return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}

    def images(self) -> set[str]:
        """The images whose rows are here."""
        return {image for path in self._shards() for image in _header(path)[0]}

    def add(self, shard: Shard) -> None:
        """Write a shard, whole or not at all."""
        from safetensors import SafetensorError
        from safetensors.numpy import save_file

        name = hashlib.sha256("".join(shard.images).encode()).hexdigest()[:16]
        metadata = {"images": json.dumps(shard.images), "texts": json.dumps(shard.texts)}
        draft = ""
        try:
            handle, draft = tempfile.mkstemp(prefix=".draft-", dir=self.path)
            os.close(handle)
            save_file(shard.arrays, draft, metadata=metadata)
            os.replace(draft, self.path / f"{name}.safetensors")
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"the store {self.path} cannot be written ({_cause(error)}); finished shards are kept, "
                "free space or name another folder with --store"
            ) from None
        finally:
            if draft:
                Path(draft).unlink(missing_ok=True)

    def arrays(self, names: Iterable[str], images: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The named arrays, rows in the order of `images`. Raises KeyError for an image that is not here."""
        from safetensors import safe_open

        names = list(names)
        parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
        row: dict[str, int] = {}
        for path in self._shards():
            held, _ = _header(path)
            if not set(held) & set(images):
                continue
            start = len(row)
            fresh = [i for i, image in enumerate(held) if image not in row]
            row.update({held[i]: start + offset for offset, i in enumerate(fresh)})
            with safe_open(path, framework="numpy") as file:
                for name in names:
                    parts[name].append(file.get_tensor(name)[fresh])
        order = [row[image] for image in images]
        return {name: np.concatenate(parts[name])[order] for name in names}

    def texts(self, images: Sequence[str]) -> list[str]:
        """The texts of `images`, in order."""
        found: dict[str, str] = {}
        for path in self._shards():
            held, texts = _header(path)
            found.update(zip(held, texts, strict=True))
        return [found[image] for image in images]

    def names(self) -> list[str]:
        """Names of the arrays in the shards."""
        from safetensors import safe_open

        for path in self._shards():
            with safe_open(path, framework="numpy") as file:
                return sorted(file.keys())
        return []

    def _shards(self) -> list[Path]:
        return sorted(self.path.glob("*.safetensors"))


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _header(path: Path) -> tuple[list[str], list[str]]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        metadata = json.loads(file.read(size)).get("__metadata__", {})
    return json.loads(metadata["images"]), json.loads(metadata["texts"])


def remembered(root: Path, name: str, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Arrays under `name`, computed once across processes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save_file

    path = root / "readings" / f"{name}.safetensors"
    try:
        if path.exists():
            return dict(load_file(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not path.exists():
                arrays = {key: np.ascontiguousarray(value) for key, value in compute().items()}
                handle, draft = tempfile.mkstemp(prefix=".draft-", dir=path.parent)
                os.close(handle)
                try:
                    save_file(arrays, draft)
                    os.replace(draft, path)
                finally:
                    Path(draft).unlink(missing_ok=True)
            return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise StoreError(f"the store {root} cannot be written ({_cause(error)}); name another with --store") from None
