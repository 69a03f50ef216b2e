"""Evidence of made-up classifiers."""

from dataclasses import replace
from typing import Any

import numpy as np

from digits.inspection.evidence import Evidence


def evidence(**other: Any) -> Evidence:
    """Eight images of three classes: 0 taken for 1 twice, 2 for 0 once. Each mistake's picture is
    as bright as its place.
    """
    shown = np.array([1, 7, 2])
    whole = Evidence(
        stage=np.array("test"),
        names_K=np.array(["cat", "dog", "owl"]),
        labels_N=np.array([0, 0, 0, 1, 1, 2, 2, 2], np.int32),
        predicted_N=np.array([0, 1, 1, 1, 1, 2, 2, 0], np.int32),
        confidence_N=np.array([0.9, 0.99, 0.6, 0.9, 0.9, 0.9, 0.9, 0.8], np.float32),
        probabilities_NP=np.full((8, 3), 0.25, np.float32),
        shown_M=shown,
        pictures_MHW=np.stack([np.full((4, 4), 30 * place, np.uint8) for place in shown]),
        samples_SHW=np.zeros((2, 4, 4), np.uint8),
        sample_labels_S=np.array([2, 0], np.int32),
        weights_UHW=np.array([[[1.0, -2.0], [0.0, 0.5]]], np.float32),
        units=np.array(5),
    )
    return replace(whole, **other)
