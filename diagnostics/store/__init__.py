"""Features, answers and readings on disk, by content: written once, read by every later run, without torch.

`shards` holds features and answers of an extraction, `readings` what was read of them, `mirror` exchanges both with a
URL, `upkeep` lists, checks and removes.
"""

from diagnostics.store.content import key
from diagnostics.store.files import BrokenFile, StoreError
from diagnostics.store.mirror import located, push
from diagnostics.store.readings import holds, remembered
from diagnostics.store.running import in_use
from diagnostics.store.shards import Folder, Shard

__all__ = [
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
