"""From the evidence of a diagnosis to its cause: places swapped with a second checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.causes import keys
from medprobe.diagnostics.causes.games import Game, ends, whole, with_rest
from medprobe.diagnostics.causes.judgement import RECOVERED, Finding, Signals, guilty_layer, judge
from medprobe.diagnostics.causes.swapping import Comparison, Swapper, Unloadable, likeliest, told
from medprobe.diagnostics.evidence import Evidence, said_classes
from medprobe.diagnostics.judgement.resamples import ALPHA, Resamples, interval
from medprobe.diagnostics.records.cause import Cause, Key, Prefix, Shipped
from medprobe.diagnostics.records.chain import PLACES, STAGES
from medprobe.fixtures.models.registry import ModelSpec

Judged = Literal["likeliest", "said"]


def find_cause(evidence: Evidence) -> Cause | None:
    """The place that makes the difference to `--against`; None without one. What keeps it from being found is the
    cause's `reason`, never an error.
    """
    against = evidence.settings.against
    if against is None:
        return None
    why: Unloadable | None = None
    # A second checkpoint has its own processor; one that was named for the model is the mend where it has none.
    for processor in dict.fromkeys((None, evidence.settings.load.processor)):
        try:
            return _found(evidence, against, Swapper(evidence, against, evidence.sample(), processor))
        except Unloadable as error:
            why = why or error
        except store.BrokenFile:
            raise
        except Exception as error:  # code of models and processors may end in anything
            return Cause(against=against.name, reason=f"the second checkpoint cannot be compared: {told(error)}")
    return Cause(against=against.name, reason=f"the second checkpoint cannot be loaded: {why}")


def _found(evidence: Evidence, against: ModelSpec, swapper: Swapper) -> Cause:
    comparison = swapper.comparison()
    try:
        shipped = swapper.shipped()
    except (Unloadable, store.BrokenFile):
        raise
    except Exception as error:
        reason = f"the second checkpoint cannot be measured as it ships: {told(error)}"
        return Cause(against=against.name, reason=reason, keys=keys.untried(comparison.settings, "not measured"))
    said = said_classes(shipped.texts(), evidence.dataset)
    search = _Search(evidence, swapper, comparison, {"likeliest": likeliest(shipped), "said": said})
    judged = search.judged_on
    about: dict[str, Any] = {
        "against": against.name,
        "found_by": "swap",
        "judged_on": judged,
        "shipped": search.shipped(judged),
        "n_images": len(swapper.rows),
    }
    if comparison.refusal is None:
        try:
            return Cause(**about, **search.found())
        except (Unloadable, store.BrokenFile):
            raise
        except Exception as error:
            reason = f"the two cannot be swapped: {told(error)}"
    else:
        reason = f"modules of another architecture cannot be swapped: {comparison.refusal}"
    difference, difference_ci = search.ends(judged).change(0, 1)
    return Cause(
        **about,
        reason=reason,
        difference=difference,
        difference_ci=difference_ci,
        keys=keys.untried(comparison.settings, "modules cannot be swapped"),
    )


@dataclass(frozen=True)
class _Search:
    """theirs: answers of the second checkpoint as it ships, [n_images], by what they are judged on."""

    evidence: Evidence
    swapper: Swapper
    comparison: Comparison
    theirs: dict[Judged, Ints]

    @property
    def judged_on(self) -> Judged:
        """The text where the second checkpoint says more and the likelihoods explain clearly less than half of it, or
        nothing; else the likeliest option, for which every hybrid can be read.
        """
        option, text = (np.subtract(*self.ends(judged).drawn[::-1]) for judged in ("likeliest", "said"))
        if interval(text)[0] <= 0:
            return "likeliest"
        explained = interval(option)[0] > 0 and np.quantile(option - RECOVERED * text, 1 - ALPHA / 2) >= 0
        return "likeliest" if explained else "said"

    def ends(self, judged: Judged) -> Signals:
        """The model, and the second checkpoint as it ships."""
        return self.signals(np.stack([self._ours(judged), self.theirs[judged]]))

    def shipped(self, judged: Judged) -> Shipped:
        """What the second checkpoint reads as it ships."""
        both = self.ends(judged)
        return Shipped(signal=float(both.point[1]), ci=interval(both.drawn[1]))

    def signals(self, predictions: Ints) -> Signals:
        """The signals of [n, n_images] predictions, under the resamples that every reading shares."""
        evidence, rows = self.evidence, self.swapper.rows
        labels, groups = evidence.labels[rows], evidence.groups[rows]
        resamples = Resamples(labels, groups, evidence.n_classes, evidence.settings.seed)
        return Signals.of(predictions, labels, resamples, evidence.n_classes)

    def found(self) -> dict[str, Any]:
        """What a Cause holds of the hybrids."""
        judged = self.judged_on
        game, predictions = self._read(judged)
        signals = self.signals(predictions)
        finding = self._among_kin(judge(signals, game))
        listed, key = self._keys(judged, finding, predictions[0])
        prefixes: list[Prefix] = []
        if judged == "likeliest" and finding.module in STAGES:
            prefixes = self._prefixes(finding, game, predictions)
        reason = finding.reason
        if self.comparison.why is not None:
            reason += f"; the inputs could not be exchanged: {self.comparison.why}"
        return {
            **vars(finding),
            "reason": reason,
            "keys": listed,
            "key": key,
            "prefixes": prefixes,
            "layer": guilty_layer(prefixes) if prefixes else None,
        }

    def _among_kin(self, finding: Finding) -> Finding:
        """Names no module where none of the others has a common ancestor: of checkpoints that were trained apart a part
        fits by luck now and then, well enough to give back half. Two modules may be rewritten together and fit as
        before, such as a tower with permuted channels and its connector.
        """
        if finding.module is None or finding.module == "input":
            return finding
        if {finding.module, *self.swapper.strangers()} != set(STAGES):
            return finding
        reason = (
            f"the two checkpoints were trained apart: no module but perhaps {finding.module} has a common ancestor, so "
            "that a part of the second one may fit by luck"
        )
        return replace(finding, module=None, certain=False, reason=reason)

    def _read(self, judged: Judged) -> tuple[Game, Ints]:
        """The game that is played, and the answers in the order of its rows, [n_rows, n_images]."""
        players = PLACES if self.comparison.input == "swapped" else STAGES
        game = (whole if judged == "likeliest" else ends)(players)
        if self.comparison.input == "kept":
            game = with_rest(game)
        if judged == "said":
            inner = self.swapper.said(game.rows[1:-1])
            return game, np.vstack([self._ours(judged), inner, self.theirs[judged]])
        if self.comparison.input == "kept":
            return game, np.vstack([self.swapper.likeliest(game.rows[:-1]), self.theirs[judged]])
        return game, self.swapper.likeliest(game.rows)

    def _ours(self, judged: Judged) -> Ints:
        answers = self.evidence.likeliest if judged == "likeliest" else self.evidence.said
        return answers[self.swapper.rows]

    def _prefixes(self, finding: Finding, game: Game, predictions: Ints) -> list[Prefix]:
        module = finding.module
        if module is None or module == "input":
            return []
        none, alone = (predictions[row] for row in game.gains[module])
        layers, answers = self.swapper.prefixes(module, none, alone)
        curve = self.signals(answers)
        return [
            Prefix(layers=k, signal=float(point), ci=interval(drawn))
            for k, point, drawn in zip(layers, curve.point, curve.drawn, strict=True)
        ]

    def _keys(self, judged: Judged, finding: Finding, none: Ints) -> tuple[list[Key], str | None]:
        """The settings that differ, each tried where there is a loss to explain, and the one that is named."""
        settings = self.comparison.settings
        if self.comparison.input == "same":
            return keys.untried(settings, "makes no difference to these images"), None
        if finding.difference_ci[0] <= 0:
            return keys.untried(settings, "not tried: there is no loss to explain"), None
        made = keys.trials(settings)
        answers, failed = self.swapper.tried(made, judged == "said")
        signals = self.signals(np.vstack([none, answers]))
        listed = keys.tried(settings, made, failed, signals)
        if finding.module != "input":
            return listed, None
        whole = finding.swaps["input"].gain if "input" in finding.swaps else finding.effects.input
        return listed, keys.named(listed, made, failed, signals, whole)
