"""What the store holds, whether it is whole, and removing what is old.

    medprobe cache list
    medprobe cache verify
    medprobe cache prune --older-than 30
    medprobe cache prune --keep-size 50 --dry-run

Exit code 1 where a file is broken or a run uses the store, 4 where there is no store.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from medprobe.diagnostics.outside_text import say
from medprobe.diagnostics.store.files import StoreError
from medprobe.diagnostics.store.mirror import located
from medprobe.diagnostics.store.upkeep import chosen, items, lines, remove, size_text, verify
from medprobe.diagnostics.typed import amount

GB = 1e9
DAY = 86400.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="medprobe cache", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("list", "verify", "prune"), help="what to do with the store")
    parser.add_argument("--store", metavar="DIR", help="folder, or URL for this machine's copy (default: the cache)")
    parser.add_argument(
        "--older-than", type=amount, metavar="DAYS", help="prune: remove what was not used for so many days"
    )
    parser.add_argument(
        "--keep-size", type=amount, metavar="GB", help="prune: remove the longest unused until the store has this size"
    )
    parser.add_argument("--dry-run", action="store_true", help="prune: only say what would be removed")
    asked = parser.parse_args(arguments)
    if asked.what == "prune" and asked.older_than is None and asked.keep_size is None:
        parser.error("say what to remove: --older-than DAYS, --keep-size GB, or both")
    try:
        root = located(asked.store, Path.cwd())
    except StoreError as error:
        say(error, error=True)
        return 4
    if not root.is_dir():
        say(f"there is no store {root}; name another with --store", error=True)
        return 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a broken file is named below
        if asked.what == "verify":
            return _verify(root)
    found = items(root)
    if asked.what == "list":
        say(f"{root}: {size_text(found)}")
        say(*lines(found))
        return 0
    before = None if asked.older_than is None else time.time() - asked.older_than * DAY
    gone = chosen(found, before, None if asked.keep_size is None else int(asked.keep_size * GB))
    try:
        if not asked.dry_run:
            remove(root, gone)
    except StoreError as error:
        say(error, error=True)
        return 1
    say(f"{'would remove' if asked.dry_run else 'removed'} {size_text(gone)} of {size_text(found)}")
    say(*lines(gone))
    return 0


def _verify(root: Path) -> int:
    n, broken = verify(root)
    for error in broken:
        say(f"{error}; it is set aside, and the next run makes it again")
    say(f"{root}: {n} files are whole, {len(broken)} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
