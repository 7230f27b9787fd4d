"""Features, answers and readings on disk, by content: written once, read by every later run, without torch.

`shards` holds features and answers of an extraction, `readings` what was read of them, `mirror` exchanges both with a
URL, `upkeep` lists, checks and removes.
"""

from medprobe.diagnostics.store.content import PICTURES, key
from medprobe.diagnostics.store.files import BrokenFile, StoreError
from medprobe.diagnostics.store.mirror import located, push
from medprobe.diagnostics.store.readings import holds, remembered
from medprobe.diagnostics.store.running import in_use
from medprobe.diagnostics.store.shards import Folder, Shard

__all__ = [
    "PICTURES",
    "BrokenFile",
    "Folder",
    "Shard",
    "StoreError",
    "holds",
    "in_use",
    "key",
    "located",
    "push",
    "remembered",
]
