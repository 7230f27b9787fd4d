"""A model loaded when the first image needs it: a run that finds everything in the store reads no weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medprobe.diagnostics.settings import BATCH_SIZE, Settings
from medprobe.fixtures.models.fingerprint import fingerprint, marks
from medprobe.fixtures.models.registry import ModelSpec

if TYPE_CHECKING:
    from medprobe.diagnostics.extraction.batches import Limit


class ChangedWeights(RuntimeError):
    """The checkpoint is no longer what was hashed."""


class ModelOnDemand:
    """The model of `spec`, loaded once."""

    def __init__(self, spec: ModelSpec, settings: Settings) -> None:
        self.spec, self.settings = spec, settings
        self._loaded: Any = None
        self._limit: Limit | None = None
        self._told: dict[str, str] | None = None
        self._marks: tuple[object, ...] = ()
        self._fingerprint: str | None = None
        self.worked: str | None = None
        """The limit of batches under which images of the same extraction were read before."""

    @property
    def about(self) -> dict[str, str]:
        """Device type and dtype of the forward pass, and what went into a batch."""
        if self._told is not None:
            return self._told
        loaded = self.load()
        dtype = str(loaded.dtype).removeprefix("torch.")
        return {"device": str(loaded.device.type), "dtype": dtype, "batch_size": str(self.limit)}

    @property
    def unlimited(self) -> bool:
        """Whether nobody has said yet what goes into a batch."""
        return self._limit is None and self.worked is None and self.settings.batch_size is None

    @property
    def limit(self) -> Limit:
        """What goes into a batch, shared by all that read this model: as asked for, or as it worked before."""
        if self._limit is None:
            from medprobe.diagnostics.extraction.batches import Limit

            asked = self.settings.batch_size
            self._limit = Limit.parse(self.worked) if self.worked and asked is None else Limit(asked or BATCH_SIZE)
        return self._limit

    @limit.setter
    def limit(self, limit: Limit) -> None:
        self._limit = limit

    def tell(self, about: dict[str, str]) -> None:
        """What a forward pass elsewhere was made on, so that nothing is loaded here to say it."""
        self._told = about

    def fetch(self) -> None:
        """Bring a hub model into the local cache, since its content names the store's folder."""
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(self.spec.source, "config.json", revision=self.spec.revision)
        if not isinstance(cached, str):
            self.load()

    def fingerprint(self) -> str:
        """Of the checkpoint (`medprobe.fixtures.models.fingerprint`), hashed once, before its weights are read."""
        if self._fingerprint is None:
            self._marks = marks(self.spec, self.settings.load)
            self._fingerprint = fingerprint(self.spec, self.settings.load)
        return self._fingerprint

    def require_unchanged(self) -> None:
        """Raises ChangedWeights where a file was touched since it was hashed: what was read may be other bytes."""
        if self._fingerprint is not None and marks(self.spec, self.settings.load) != self._marks:
            raise ChangedWeights(
                f"files of {self.spec.name} were changed while the run read them, so nothing read of them is kept; "
                "run again once nothing writes to the checkpoint"
            )

    def load(self) -> Any:
        """The model in memory, loaded when first asked for, with its fault planted. Raises LoadError and FaultError."""
        if self._loaded is None:
            from medprobe.fixtures.models.loading import load

            if self.spec.local:
                self.fingerprint()
            loaded = load(replace(self.spec, fault=None), self.settings.load)
            if self.spec.fault:
                from medprobe.fixtures.phantoms.faults import plant

                plant(loaded, self.spec.fault)
            self._loaded = loaded
            self.require_unchanged()
        return self._loaded
