"""A model loaded when the first image needs it: a run that finds everything in the store reads no weights."""

from __future__ import annotations

from typing import Any

from diagnostics.settings import Settings
from fixtures.models.registry import ModelSpec


class Loader:
    """The model of `spec`, loaded once."""

    def __init__(self, spec: ModelSpec, settings: Settings) -> None:
        self.spec, self.settings = spec, settings
        self._loaded: Any = None
        self._told: dict[str, str] | None = None

    @property
    def about(self) -> dict[str, str]:
        """Device type and dtype of the forward pass."""
        if self._told is not None:
            return self._told
        loaded = self.load()
        return {"device": str(loaded.device.type), "dtype": str(loaded.dtype).removeprefix("torch.")}

    def tell(self, about: dict[str, str]) -> None:
        """What a forward pass elsewhere was made on, so that nothing is loaded here to say it."""
        self._told = about

    def fetch(self) -> None:
        """Bring a hub model into the local cache, since its content names the store's folder."""
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(self.spec.source, "config.json", revision=self.spec.revision)
        if not isinstance(cached, str):
            self.load()

    def load(self) -> Any:
        if self._loaded is None:
            from fixtures.models.loading import load

            s = self.settings
            self._loaded = load(
                self.spec,
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
