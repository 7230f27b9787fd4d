"""A model loaded when the first image needs it: a run that finds everything in the store reads no weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diagnostics.settings import BATCH_SIZE, Settings
from fixtures.models.registry import ModelSpec

if TYPE_CHECKING:
    from diagnostics.batches import Limit


class Loader:
    """The model of `spec`, loaded once."""

    def __init__(self, spec: ModelSpec, settings: Settings) -> None:
        self._spec, self._settings = spec, settings
        self._loaded: Any = None
        self._limit: Limit | None = None

    @property
    def about(self) -> dict[str, str]:
        """Device type and dtype of the forward pass."""
        loaded = self.load()
        return {"device": str(loaded.device.type), "dtype": str(loaded.dtype).removeprefix("torch.")}

    @property
    def limit(self) -> Limit:
        """What goes into a batch, shared by all that read this model."""
        if self._limit is None:
            from diagnostics.batches import Limit

            self._limit = Limit(self._settings.batch_size or BATCH_SIZE)
        return self._limit

    @limit.setter
    def limit(self, limit: Limit) -> None:
        self._limit = limit

    def fetch(self) -> None:
        """Bring a hub model into the local cache, since its content names the store's folder."""
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(self._spec.source, "config.json", revision=self._spec.revision)
        if not isinstance(cached, str):
            self.load()

    def load(self) -> Any:
        if self._loaded is None:
            from fixtures.models.loading import load

            s = self._settings
            self._loaded = load(
                self._spec,
                dtype=s.dtype,
                device_map=s.device_map,
                quantize=s.quantize,
                processor=s.processor,
                modules=s.modules,
                trust_remote_code=s.trust_remote_code,
                offline=s.offline,
                adapter=s.adapter,
            )
        return self._loaded
