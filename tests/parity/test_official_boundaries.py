"""`compat=official` reproduces mixtures and boundaries of the authors' code on sorted scores (golden arrays).

They are compared with the float64 fits: scikit-learn keeps float32 where it is given float32, and then rounding
decides one label in some hundreds.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from composed import parts
from differences import Differences
from explained import tie_of
from literal_boundary import em
from official_arrays import names, sets_of

from paa.assign.boundary import MixtureBoundary
from paa.assign.mixture import log_joint

FILES = names("boundaries")
LETTERS = {"a": "a", "b": "b_2020", "c": "c", "d": "d"}
AUTHORS = "official, the authors' code"


def boundary(letter: str) -> MixtureBoundary:
    made = parts("official", f"assign.boundary={LETTERS[letter]}").assigner.boundary
    assert isinstance(made, MixtureBoundary)
    return made


@pytest.mark.parametrize("name", FILES)
def test_mixtures(name: str, differences: Differences) -> None:
    arrays, scores, valid = sets_of(name)
    fitted = boundary("c").fitted(scores, valid)
    fits = arrays["gmm_n_iter_f64"] > 0
    assert np.array_equal(fits, (valid.sum(1) > 1).numpy())
    ends = np.stack((fitted.mixture.iterations.numpy(), fitted.mixture.converged.numpy()), 1)
    wrong = fits & (ends != np.stack((arrays["gmm_n_iter_f64"], arrays["gmm_converged_f64"] == 1), 1)).any(1)
    differences.share(AUTHORS, "last steps of mixtures", int(wrong.sum()), int(fits.sum()))
    for i in np.flatnonzero(wrong):
        why = why_ended(scores[i][valid[i]].double().tolist())
        differences.tell(f"set {i}: {ends[i, 0]} steps, there {arrays['gmm_n_iter_f64'][i]}: {why or 'UNEXPLAINED'}")
        assert why, f"set {i}: {ends[i, 0]} steps, there {arrays['gmm_n_iter_f64'][i]}"
    assert wrong.sum() <= 0.005 * fits.sum()
    fits &= ~wrong
    for part, ours in (("means", fitted.mixture.means), ("vars", fitted.mixture.variances)):
        differences.within(
            1e-9, AUTHORS, f"mixture, {part}", ours[fits], arrays[f"gmm_{part}_f64"][fits], relative=True
        )
    differences.within(1e-9, AUTHORS, "mixture, weights", fitted.mixture.weights[fits], arrays["gmm_weights_f64"][fits])
    if "log_density_f64" in arrays:
        many = np.repeat(fits, np.diff(arrays["offsets"]))
        density = log_joint(fitted.mixture, scores).logsumexp(-1)[valid].numpy()
        np.testing.assert_allclose(density[many], arrays["log_density_f64"][many], rtol=1e-7, atol=1e-7)


def why_ended(scores: list[float]) -> str | None:
    """Explain another number of steps: the likelihood gain of a step equals the tolerance up to rounding."""
    early, late = (em(scores, tol=1e-3 * factor)[-1] for factor in (1 + 1e-6, 1 - 1e-6))
    return f"the gain of step {early} is the tolerance to a millionth" if early != late else None


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("name", FILES)
def test_labels(name: str, letter: str, differences: Differences) -> None:
    arrays, scores, valid = sets_of(name)
    rule = boundary(letter)
    labels = rule(scores, valid, 0.0)
    theirs = torch.zeros_like(labels)
    theirs[valid] = torch.from_numpy(arrays[f"labels_{letter}_f64"])
    wrong = (labels != theirs) & valid
    differences.share(AUTHORS, f"labels of boundary {LETTERS[letter]}", int(wrong.sum()), int(valid.sum()))
    for i in torch.nonzero(wrong.any(1)).flatten().tolist():
        why = tie_of(rule, scores[i : i + 1], valid[i : i + 1], least=1e-9)
        differences.tell(f"set {i}: {int(wrong[i].sum())} of {int(valid[i].sum())} labels: {why or 'UNEXPLAINED'}")
        assert why, f"set {i}: {labels[i][valid[i]].tolist()}, theirs {theirs[i][valid[i]].tolist()}"
    assert int(wrong.sum()) <= 0.001 * int(valid.sum())
    assert int(wrong.any(1).sum()) <= 0.005 * len(valid)
