"""A store at a URL that fsspec can open: a local folder that brings from there what is finished, and sends it back.

The folder says in a file of which URL it is the mirror, so that every process that is given the folder knows. A file is
named by what it depends on, so none is ever overwritten, but for one found broken; each is checked when it is brought.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import warnings
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_dir

from medprobe.diagnostics.outside_text import holds_secret, masked
from medprobe.diagnostics.store.files import BrokenFile, StoreError, arrays
from medprobe.fixtures.whole import settle, write_text

MARK = "mirror"
FINISHED = re.compile(r"[0-9a-f]{32}/(?:[0-9a-f]{16}\.safetensors|about\.json)|readings/[0-9a-f]{32}\.safetensors")
"""What is exchanged; a listing from elsewhere may hold anything."""


def located(asked: str | None, folder: Path) -> Path:
    """The folder of the store asked for: a path from `folder` on, a URL, or the user's cache.

    Raises StoreError where it can be no folder, or the URL cannot be reached.
    """
    cache = Path(user_cache_dir("medprobe"))
    if asked is not None and "://" in asked:
        url = asked.rstrip("/")
        if holds_secret(url):
            raise StoreError(
                f"the store's URL {masked(url)} is written down on this machine, so it may hold no password or key; "
                "give them by the environment or configuration of the storage's own client"
            )
        _open(url).reach()
        root = cache / "mirrors" / hashlib.sha256(url.encode()).hexdigest()[:16]
        try:
            root.mkdir(parents=True, exist_ok=True)
            if not (root / MARK).exists():
                write_text(root / MARK, url)
        except OSError as error:
            raise StoreError(f"the copy of {url} at {root} cannot be written ({error.strerror})") from None
        return root
    root = (cache / "store" if asked is None else folder / Path(asked).expanduser()).absolute()
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir():
        raise StoreError(f"the store {root} can be no folder, since {there} is a file; name another with --store")
    return root


def held(root: Path, folder: Path) -> list[str]:
    """Names of finished files of `folder` that the mirror holds and this machine does not."""
    remote = _of(root)
    prefix = folder.name + "/"
    names = [] if remote is None else [name.removeprefix(prefix) for name in remote.held if name.startswith(prefix)]
    return [name for name in sorted(names) if not (folder / name).exists()]


def pull(root: Path, path: Path, draft: Path) -> None:
    """Bring one file, if the mirror holds it and this machine does not; the caller holds the lock of its draft."""
    remote, name = _of(root), path.relative_to(root).as_posix()
    if remote is None or path.exists() or name not in remote.held:
        return
    try:
        remote.get(name, draft)
        _check(draft)
        settle(draft, path)
    except BrokenFile as error:
        remote.broken.add(name)
        warnings.warn(f"{remote.url}/{name} is not used: {error}; it is made again", stacklevel=2)
    except Exception as error:  # every file system has errors of its own
        remote.held = {}
        warnings.warn(f"{remote.url} cannot be read ({_cause(error)}); going on without it", stacklevel=2)
    finally:
        draft.unlink(missing_ok=True)


def push(root: Path) -> None:
    """Send what the mirror lacks. What cannot be sent stays here, with a warning, and goes with the next run."""
    remote = _of(root)
    if remote is None:
        return
    try:
        there = remote.listing()
        for path in sorted([*root.glob("*/*.safetensors"), *root.glob("*/about.json")]):
            name = path.relative_to(root).as_posix()
            lacking = name in remote.broken or there.get(name) != path.stat().st_size
            if FINISHED.fullmatch(name) and lacking:
                remote.put(path, name)
                remote.broken.discard(name)
    except Exception as error:  # every file system has errors of its own
        warnings.warn(
            f"{remote.url} cannot be written ({_cause(error)}); all results are kept in {root} and go there with the "
            "next run",
            stacklevel=2,
        )


class Remote:
    """A folder at a URL."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url
        self.fs, base = fsspec.core.url_to_fs(url)
        self._base = base.rstrip("/")
        self.broken: set[str] = set()

    def reach(self) -> None:
        """Raises StoreError."""
        try:
            try:
                self.fs.ls(self._base, detail=False)
            except FileNotFoundError:  # nothing there yet; a bucket must be
                top = re.match(r"/?[^/]*", self._base)
                self.fs.ls(top[0] if top else "/", detail=False)
        except Exception as error:  # every file system has errors of its own
            raise StoreError(f"the store {self.url} cannot be reached: {_cause(error)}") from None

    @functools.cached_property
    def held(self) -> dict[str, int]:
        """What was there at the first look. None is empty, after a warning, where it cannot be looked at."""
        try:
            return self.listing()
        except Exception as error:  # every file system has errors of its own
            warnings.warn(f"{self.url} cannot be read ({_cause(error)}); going on without it", stacklevel=2)
            return {}

    def listing(self) -> dict[str, int]:
        """Bytes by name of the finished files."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.find(self._base, detail=True)
        except FileNotFoundError:
            return {}
        sizes = {name[len(self._base) + 1 :]: int(entry["size"]) for name, entry in found.items()}
        return {name: size for name, size in sizes.items() if FINISHED.fullmatch(name)}

    def get(self, name: str, path: Path) -> None:
        self.fs.get_file(f"{self._base}/{name}", str(path))

    def put(self, path: Path, name: str) -> None:
        target = f"{self._base}/{name}"
        self.fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        self.fs.put_file(str(path), target)


@functools.cache
def _open(url: str) -> Remote:
    try:
        return Remote(url)
    except ImportError:
        raise StoreError(
            f"the store {url} needs a package for its kind of URL: pip install 'medprobe[remote]'"
        ) from None
    except ValueError as error:
        raise StoreError(f"the store {url} is no URL that can be opened: {error}") from None


@functools.cache
def _of(root: Path) -> Remote | None:
    with suppress(OSError):
        return _open((root / MARK).read_text("utf-8"))
    return None


def _check(path: Path) -> None:
    if path.name.endswith(".json"):
        try:
            whole = isinstance(json.loads(path.read_text("utf-8")), dict)
        except ValueError:
            whole = False
        if not whole:
            raise BrokenFile("no JSON table")
    else:
        arrays(path)


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
