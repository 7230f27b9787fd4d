"""What is tuned of a model, and the loss it is tuned by."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor, nn

from medprobe.diagnostics.extraction.extractor import tower_exits
from medprobe.diagnostics.extraction.inputs import Inputs, prepared
from medprobe.diagnostics.tuning.answered import answered, answers_of, negative_log_likelihood
from medprobe.diagnostics.tuning.plan import Plan, TuneError
from medprobe.fixtures.models.loaded import LoadedModel


class Learner(nn.Module):
    """A model with adapters; called with what `prepare` gives, it returns the loss of each image, [n]."""

    def __init__(self, loaded: LoadedModel, plan: Plan, prompt: str) -> None:
        super().__init__()
        self._loaded, self._prompt = loaded, prompt
        self.adapted = _adapted(loaded, plan)

    def prepare(self, images: Sequence[Image], labels: Sequence[int]) -> tuple[Inputs, Tensor]:
        """Inputs and targets on the host; may run on another thread."""
        raise NotImplementedError

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are tuned, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}


class AnswerLearner(Learner):
    """Tuned by the likelihood of the right answer after the user turn."""

    def __init__(self, loaded: LoadedModel, plan: Plan, prompt: str, answers: Sequence[str]) -> None:
        self._answers = answers_of(loaded, prompt, answers)
        super().__init__(loaded, plan, prompt)

    def prepare(self, images: Sequence[Image], labels: Sequence[int]) -> tuple[Inputs, Tensor]:
        inputs = prepared(self._loaded, images, self._prompt)
        return answered(self._loaded.model, inputs, [self._answers[label] for label in labels])

    def forward(self, inputs: Inputs, targets: Tensor) -> Tensor:
        device = self._loaded.device
        return negative_log_likelihood(self._loaded.model, inputs.on(device), targets.to(device))


class TowerLearner(Learner):
    """The tower, tuned by the cross-entropy of a linear head on the mean of what it hands to the connector."""

    def __init__(self, loaded: LoadedModel, plan: Plan, prompt: str, n_classes: int, example: Image) -> None:
        super().__init__(loaded, plan, prompt)
        with torch.no_grad():
            width = tower_exits(loaded, prepared(loaded, [example], prompt)).shape[1]
        self.head = head_for(width, n_classes).to(loaded.device)

    def prepare(self, images: Sequence[Image], labels: Sequence[int]) -> tuple[Inputs, Tensor]:
        return prepared(self._loaded, images, self._prompt), torch.tensor(labels)

    def forward(self, inputs: Inputs, targets: Tensor) -> Tensor:
        scores = self.head(tower_exits(self._loaded, inputs)).float()
        return F.cross_entropy(scores, targets.to(scores.device), reduction="none")


def head_for(width: int, n_classes: int) -> nn.Module:
    """A linear head on what a tower hands on, which has a scale of its own."""
    return nn.Sequential(nn.LayerNorm(width, elementwise_affine=False), nn.Linear(width, n_classes))


def learner_of(loaded: LoadedModel, plan: Plan, prompt: str, answers: Sequence[str], example: Image) -> Learner:
    """The learner of `plan`, ready to be trained; its trained weights are float32. Raises TuneError and LoadError."""
    if plan.tunes_text:
        learner: Learner = AnswerLearner(loaded, plan, prompt, answers)
    else:
        learner = TowerLearner(loaded, plan, prompt, len(answers), example)
    if plan.checkpointing:
        if not getattr(loaded.model, "supports_gradient_checkpointing", False):
            raise TuneError(
                f"{loaded.name} cannot compute its layers again on the way back; give --no-gradient-checkpointing"
            )
        loaded.model.activation_checkpointing_enable()
    for parameter in learner.trained().values():
        parameter.data = parameter.data.float()
    return learner.train()


def _adapted(loaded: LoadedModel, plan: Plan) -> Any:
    """The model under PEFT: low-rank maps beside the linear layers of the blocks that are tuned, and the connector's
    own weights, of which some families have no linear layer.
    """
    import peft

    anatomy = loaded.anatomy
    blocks = (*anatomy.vision_blocks * plan.tunes_tower, *anatomy.decoder_layers * plan.tunes_text)
    linear = list(_linear(loaded.model, blocks))
    if not linear:
        raise TuneError(f"{loaded.name} has no linear layer in {blocks[0]}, so that there is none to adapt")
    settings = peft.LoraConfig(
        r=plan.rank,
        lora_alpha=2 * plan.rank,
        lora_dropout=plan.dropout,
        target_modules=linear,
        modules_to_save=[anatomy.connector, *anatomy.deepstack] if plan.tunes_text else None,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it knows nothing of the model card
        return peft.get_peft_model(loaded.model, settings)


def _linear(model: nn.Module, blocks: Sequence[str]) -> Iterator[str]:
    """Names of the linear layers that are called as such; attention in one piece reads their weights itself."""
    for block in blocks:
        whole = tuple(
            f"{name}." for name, m in model.get_submodule(block).named_modules() if isinstance(m, nn.MultiheadAttention)
        )
        for name, module in model.get_submodule(block).named_modules():
            if isinstance(module, nn.Linear) and not name.startswith(whole):
                yield f"{block}.{name}"
