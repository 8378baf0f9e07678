"""The checks of notebook 05b tell wrong answers from right ones, and say why."""

import numpy as np
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from dl4mir_utils import checks

LABELS = np.repeat([0, 1, 2], [12, 6, 18])
FOLDS = np.concatenate([np.arange(12) % 4, [0, 0, 0, 1, 2, 3], np.arange(18) % 4])


def test_balanced(capsys):
    features = np.random.default_rng(0).normal(size=(36, 2)) + LABELS[:, None]
    model = KNeighborsClassifier(3)
    predicted = cross_val_predict(model, features, LABELS, groups=FOLDS, cv=LeaveOneGroupOut())
    right, plain = balanced_accuracy_score(LABELS, predicted), accuracy_score(LABELS, predicted)
    parts = [fold == FOLDS for fold in range(4)]
    by_fold = np.mean([balanced_accuracy_score(LABELS[part], predicted[part]) for part in parts])
    assert len({round(score, 3) for score in (right, plain, by_fold)}) == 3
    for answer, wanted in [
        (None, "still open"),
        (plain, "is the plain accuracy"),
        (by_fold, "is the mean of four folds"),
        (-1.0, "pool the predictions of all four folds first"),
        (right, f"Right. {right:.3f} against a plain accuracy of {plain:.3f}"),
    ]:
        capsys.readouterr()
        checks.check_05b_balanced(answer, model, features, LABELS, FOLDS)
        (line,) = capsys.readouterr().out.splitlines()
        assert wanted in line
