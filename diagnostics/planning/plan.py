"""The plan of a call: the cost of every model on every data set, and how long all of it takes on 1 to 64 GPUs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medprobe.diagnostics.planning.cost import Cost
from medprobe.diagnostics.planning.gate import GatePlan
from medprobe.diagnostics.planning.gate import rows as gate_rows
from medprobe.diagnostics.planning.gpus import BANDWIDTH, COMPUTE, RUNTIME, Gpu
from medprobe.diagnostics.planning.makespan import Job, shards, whole_models

N_GPUS = (1, 2, 4, 8, 16, 32, 64)
CONDITIONS = (1, 2)
"""The models as given, and with each a second time, tuned: as the paper reads them."""


@dataclass(frozen=True)
class CallPlan:
    """`refused` are sentences on what cannot be planned; `notes` on what the numbers rest upon."""

    gpu: Gpu
    costs: tuple[Cost, ...]
    refused: tuple[str, ...]
    notes: tuple[str, ...]
    gates: tuple[GatePlan, ...] = ()
    changed_answers: float | None = None

    def jobs(self, conditions: int) -> list[Job]:
        """A job a model and condition: its data sets one after the other, on the most GPUs that one needs."""
        names = list(dict.fromkeys(cost.model for cost in self.costs))
        own = [[cost for cost in self.costs if cost.model == name] for name in names]
        return [Job(sum(c.hours for c in costs), max(c.n_gpus for c in costs)) for costs in own * conditions]

    def spans(self) -> list[dict[str, Any]]:
        """Hours by number of GPUs: whole models, and shards of their images, for one and for two conditions."""
        return [
            {
                "gpus": n,
                **{f"whole_models_{k}": whole_models(self.jobs(k), n) for k in CONDITIONS},
                **{f"shards_{k}": shards(self.jobs(k), n) for k in CONDITIONS},
            }
            for n in N_GPUS
        ]

    def record(self) -> dict[str, Any]:
        """Plain data, as plan.json holds it. Memory and sizes in bytes."""
        return {
            "gpu": asdict(self.gpu),
            "assumed": {"compute": COMPUTE, "bandwidth": BANDWIDTH, "runtime_bytes": RUNTIME},
            "costs": [asdict(cost) for cost in self.costs],
            "hours": self.spans(),
            "refused": list(self.refused),
            "notes": list(self.notes),
            "changed_answers": self.changed_answers,
            "gates": [asdict(gate) for gate in self.gates],
        }


def table(plan: CallPlan) -> str:
    """The plan in lines of at most 80 columns."""
    head = ("model", "data set", "images", "image", "turn", "stored", "memory", "GPU", "PFLOP", "hours")
    rows = [head, *map(_row, plan.costs)]
    if len(plan.costs) > 1:
        rows.append(_sum(plan.costs))
    lines = [*_aligned(rows, left=2), ""]
    lines += [
        *_wrapped(
            "Tokens of one image, and of the whole turn with it (~: its text is estimated, for no tokenizer was found)."
        ),
        *_wrapped(
            f"Memory is that of one {plan.gpu.name}, at the largest batch that fits. Hours are estimates: "
            f"{COMPUTE:.0%} of {plan.gpu.flops / 1e12:g} TFLOP/s and {BANDWIDTH:.0%} of "
            f"{plan.gpu.bandwidth / 1e9:g} GB/s, answers at their longest, loading and probes not counted."
        ),
        "",
    ]
    spans: list[tuple[str, ...]] = [("GPUs", "whole models", "and tuned", "shards", "and tuned")]
    spans += [(str(s["gpus"]), *(_hours(value) for key, value in s.items() if key != "gpus")) for s in plan.spans()]
    if plan.costs:
        lines += [f"Hours on {plan.gpu.name} GPUs, estimates", *_aligned(spans, left=0), ""]
        lines += _wrapped(
            "Whole models: one stays on its GPUs, the longest first. Shards: its images spread over all GPUs, a lower "
            "bound. And tuned: every model a second time."
        )
    if shown := [gate for gate in plan.gates if not gate.criterion.startswith("specificity")]:
        lines += [
            "",
            *_wrapped("What a comparison with a baseline decides, points"),
            *_aligned(gate_rows(shown), left=2),
            "",
        ]
        lines += _wrapped(
            f"Clears: of equally good models, whose answers differ on {plan.changed_answers:.0%} of the images, "
            "80% are cleared of such a loss by all criteria. Needed: images, in groups like these, that decide with "
            "80% power at the margin asked. plan.json has them by class, and the specificities."
        )
        lines += [""]
    for sentence in (*plan.notes, *plan.refused):
        lines += _wrapped(sentence)
    return "\n".join(lines)


def _row(cost: Cost) -> tuple[str, ...]:
    about = "" if cost.tokens_counted else "~"
    return (
        _cut(cost.model, 20),
        _cut(cost.dataset, 10),
        str(cost.images),
        f"{cost.image_tokens / cost.images:.0f}",
        f"{about}{cost.prompt_tokens / cost.images:.0f}",
        _size(cost.bytes_stored),
        _size(cost.memory_per_gpu),
        str(cost.n_gpus),
        _number(cost.flops / 1e15),
        _hours(cost.hours),
    )


def _sum(costs: Sequence[Cost]) -> tuple[str, ...]:
    stored, work, hours = (sum(getattr(c, key) for c in costs) for key in ("bytes_stored", "flops", "hours"))
    return (
        "all",
        "",
        str(sum(c.images for c in costs)),
        "",
        "",
        _size(stored),
        "",
        "",
        _number(work / 1e15),
        _hours(hours),
    )


def _aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        " ".join(
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, 80)


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"


def _size(n_bytes: float) -> str:
    for unit in ("kB", "MB", "GB"):
        n_bytes /= 1000
        if n_bytes < 999.5:
            return f"{n_bytes:.3g}{unit}"
    return f"{n_bytes / 1000:.3g}TB"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _hours(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.01" if value < 0.01 else _number(value)
