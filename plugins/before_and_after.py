"""The two runs that diagnose a model before and after tuning, each against the other."""

from __future__ import annotations

from collections.abc import Mapping

from medprobe.fixtures.models.registry import ModelError
from medprobe.plugins.call import adapter_folder, model_of
from medprobe.plugins.project import Alias, CallError


def before_and_after(
    model: str, adapter: str | None, checkpoint: str | None, own: Mapping[str, Alias]
) -> dict[str, list[str]]:
    """The suite's options of both runs by name. What tuning made is an adapter's folder, or a whole checkpoint.

    Raises CallError.
    """
    if adapter is not None:
        other = str(adapter_folder(adapter))
        after = ["--model", model, "--adapter", other]
    else:
        other = str(checkpoint)
        _told_apart(model, other, own)
        after = ["--model", other, "--tuned-from", model]
    # What the model lacks against the tuned one is what tuning gained, and the other way round what it cost.
    return {"before": ["--model", model, "--against", other], "after": [*after, "--against", model]}


def _told_apart(before: str, after: str, own: Mapping[str, Alias]) -> None:
    """Raises CallError where the two are no checkpoints, or have one name and revision in reports."""
    found = {_name(option, spec, own) for option, spec in (("--model", before), ("--after", after))}
    if len(found) == 1:
        name = found.pop()[0]
        raise CallError(f"the model before and after tuning are both named {name!r}; rename one folder")


def _name(option: str, spec: str, own: Mapping[str, Alias]) -> tuple[str, str | None]:
    try:
        model = model_of(spec, own.get(spec))
    except ModelError as error:
        if "/" in spec:
            raise CallError(f"{option}: {error}") from None
        return spec, None  # a hook of the project may know it, and the run says where not
    return model.name, model.revision
