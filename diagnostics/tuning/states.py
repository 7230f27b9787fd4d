"""Where a tuning run stands, on disk: a killed run goes on from the last state that is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from medprobe.diagnostics.tuning.learners import Learner
from medprobe.fixtures.whole import settle

DRAFT, STEP = "draft", "step-"
TRAINED, LOSSES = "trained.safetensors", "losses.json"


class States:
    """The states of a run in `folder`: trained weights, optimiser, random numbers and losses so far.

    A state is written beside its place and moved there once its bytes are on the disk; the one before it goes after.
    """

    def __init__(self, folder: Path, accelerator: Any, learner: Learner) -> None:
        self._folder, self._accelerator, self._learner = folder, accelerator, learner
        accelerator.register_save_state_pre_hook(self._save_trained)
        accelerator.register_load_state_pre_hook(self._load_trained)

    def load(self) -> list[float]:
        """Take up the last state; its losses, one a step, are empty where there is none."""
        whole = sorted(self._folder.glob(f"{STEP}*"))
        if not whole:
            return []
        self._accelerator.load_state(str(whole[-1]))
        losses: list[float] = json.loads((whole[-1] / LOSSES).read_text("utf-8"))
        return losses

    def save(self, losses: list[float]) -> None:
        """Keep the state after the last of `losses`."""
        draft = self._folder / DRAFT
        main = self._accelerator.is_main_process
        if main:
            shutil.rmtree(draft, ignore_errors=True)
        self._accelerator.wait_for_everyone()
        self._accelerator.save_state(str(draft))
        self._accelerator.wait_for_everyone()
        if main:
            (draft / LOSSES).write_text(json.dumps(losses), "utf-8")
            before = list(self._folder.glob(f"{STEP}*"))
            settle(draft, self._folder / f"{STEP}{len(losses):09d}")
            for state in before:
                shutil.rmtree(state)
        self._accelerator.wait_for_everyone()

    def _save_trained(self, _models: list[Any], weights: list[Any], folder: str) -> None:
        # Not the whole model, which is where it was.
        weights.clear()
        if self._accelerator.is_main_process:
            save_file({name: p.detach().contiguous() for name, p in self._learner.trained().items()}, _trained(folder))

    def _load_trained(self, models: list[Any], folder: str) -> None:
        models.clear()
        for name, value in load_file(_trained(folder)).items():
            self._learner.get_parameter(name).data.copy_(value)


def _trained(folder: str) -> Path:
    return Path(folder) / TRAINED
