"""Names for the arrays that steps hand to each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
"""Labels, predicted classes, patient groups, folds, rows."""

Floats = NDArray[np.float64]
"""What is computed of predictions: accuracies, signals, log-probabilities, their resamples."""

Features = NDArray[np.float32]
"""What a model gave: features, log-likelihoods of options; as they are stored."""

Bools = NDArray[np.bool_]
