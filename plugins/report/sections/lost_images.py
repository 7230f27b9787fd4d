"""The images that are right at the tower and wrong in the answer: what is lost on the way, image by image."""

from __future__ import annotations

from dataclasses import dataclass

from medprobe.diagnostics.records.report import Predictions

UNNAMED = "no class named"


@dataclass(frozen=True)
class LostClass:
    """One class: `right` of its images are read rightly at the tower; `images` are those of them whose answer is wrong,
    each by its keyed hash with what was answered."""

    name: str
    right: int
    images: list[tuple[str, str]]

    @property
    def share(self) -> float | None:
        return len(self.images) / self.right if self.right else None


def lost_on_the_way(predictions: Predictions) -> list[LostClass]:
    """A row for each class, in the order of the classes."""
    tower, answer = predictions.places["vision"], predictions.places["answer"]
    found = []
    for label, name in enumerate(predictions.classes):
        right = [i for i, true in enumerate(predictions.labels) if true == label == tower[i]]
        images = [
            (predictions.images[i], UNNAMED if answer[i] < 0 else predictions.classes[answer[i]])
            for i in right
            if answer[i] != label
        ]
        found.append(LostClass(name, len(right), images))
    return found
