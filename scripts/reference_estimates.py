#!/usr/bin/env python3
"""Writes fixtures/estimate/: small made-up inputs, and what established packages make of them.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install numpy scipy scikit-learn statsmodels
    /tmp/venv/bin/python scripts/reference_estimates.py

Figures only; no code of those packages is kept. R was not at hand, so pROC, rms and glmnet are not among them: the
DeLong interval is worked out here from its definition, pair by pair, with numpy.
"""

import csv
from pathlib import Path

import numpy as np
import scipy
import sklearn
import statsmodels
import statsmodels.api as sm
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "estimate"
VERSIONS = (f"numpy {np.__version__}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}, "
            f"statsmodels {statsmodels.__version__}")
LAMBDAS = [0.05, 0.02, 0.008, 0.003, 0.001]


def made_up():
    """600 people: flags, counts, an age; two whole-number scores; an outcome that hangs on them."""
    random = np.random.default_rng(20160401)
    n = 600
    age = random.integers(18, 95, n)
    flag_1 = (random.random(n) < 0.3).astype(int)
    flag_2 = (random.random(n) < 0.08).astype(int)
    count = np.minimum(random.poisson(0.8, n), 5)
    flag_3 = (random.random(n) < 0.5).astype(int)
    rare = (random.random(n) < 0.03).astype(int)
    x = np.column_stack([age, flag_1, flag_2, count, flag_3, rare])
    eta = -4.2 + 0.03 * age + 0.6 * flag_1 + 1.1 * flag_2 + 0.35 * count + 0.0 * flag_3 + 0.8 * rare
    event = (random.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    score_a = np.round((0.8 * eta - 0.4 + random.normal(0, 0.3, n)) * 10).astype(int) * 100_000_000
    score_b = np.round((0.5 * eta + random.normal(0, 0.8, n)) * 20).astype(int) * 50_000_000
    return x, event, score_a, score_b


def placements(score, event):
    cases, controls = score[event == 1], score[event == 0]
    psi = (cases[:, None] > controls[None, :]) + 0.5 * (cases[:, None] == controls[None, :])
    return psi.mean(axis=1), psi.mean(axis=0)


def delong(score_a, score_b, event):
    (a10, a01), (b10, b01) = placements(score_a, event), placements(score_b, event)
    s10, s01 = np.cov(a10, b10), np.cov(a01, b01)
    cover = s10 / len(a10) + s01 / len(a01)
    return a10.mean(), b10.mean(), cover


def main():
    x, event, score_a, score_b = made_up()
    n = len(event)
    known = []
    put = lambda name, value: known.append((name, repr(float(value))))

    area_a, area_b, cover = delong(score_a, score_b, event)
    assert abs(area_a - roc_auc_score(event, score_a)) < 1e-12
    z = norm.ppf(0.975)
    put("auc_a", area_a), put("auc_a_error", cover[0, 0] ** 0.5)
    put("auc_a_low", area_a - z * cover[0, 0] ** 0.5), put("auc_a_high", area_a + z * cover[0, 0] ** 0.5)
    put("auc_b", area_b)
    difference, error = area_b - area_a, (cover[0, 0] + cover[1, 1] - 2 * cover[0, 1]) ** 0.5
    put("auc_difference", difference), put("auc_difference_low", difference - z * error)
    put("auc_difference_p", 2 * norm.sf(abs(difference / error)))
    put("average_precision_a", average_precision_score(event, score_a))

    lp = score_a / 1e9
    probability = 1 / (1 + np.exp(-lp))
    put("brier_a", brier_score_loss(event, probability))
    exact = dict(tol=1e-14, maxiter=200)
    line = sm.GLM(event, sm.add_constant(lp), family=sm.families.Binomial()).fit(**exact)
    for name, value, error in zip(["calibration_intercept", "calibration_slope"], line.params, line.bse):
        put(name, value), put(f"{name}_error", error)
    large = sm.GLM(event, np.ones((n, 1)), family=sm.families.Binomial(), offset=lp).fit(**exact)
    put("in_the_large", large.params[0]), put("in_the_large_error", large.bse[0])
    levels = IsotonicRegression(y_min=0, y_max=1).fit(score_a, event).predict(score_a)
    put("isotonic_sum_of_squares", np.sum(levels ** 2))
    for row in (0, 100, 200, 300, 400, 500):
        put(f"isotonic_{row}", levels[row])
    for part, whole in ((81, 263), (0, 20), (1, 29), (20, 20)):
        low, high = proportion_confint(part, whole, method="wilson")
        put(f"wilson_{part}_{whole}_low", low), put(f"wilson_{part}_{whole}_high", high)

    fit = sm.GLM(event, sm.add_constant(x), family=sm.families.Binomial()).fit(**exact)
    for place, (value, error) in enumerate(zip(fit.params, fit.bse)):
        put(f"fit_{place}", value), put(f"fit_{place}_error", error)

    # scikit-learn minimises C * sum of losses + penalty; ours is the mean loss + lambda * penalty, so C = 1 / (n lambda).
    # Columns are standardised by their population standard deviation first, as glmnet does; coefficients are taken back.
    centre, scale = x.mean(axis=0), x.std(axis=0)
    standard = (x - centre) / scale
    for lam in LAMBDAS:
        for name, penalty, solver in (("ridge", "l2", "newton-cholesky"), ("lasso", "l1", "saga")):
            ratio = {"l2": 0.0, "l1": 1.0}[penalty]
            model = LogisticRegression(C=1 / (n * lam), l1_ratio=ratio, solver=solver, tol=1e-12, max_iter=1_000_000)
            model.fit(standard, event)
            coefficients = model.coef_[0] / scale
            put(f"{name}_{lam}_0", model.intercept_[0] - np.sum(coefficients * centre))
            for place, value in enumerate(coefficients):
                put(f"{name}_{lam}_{place + 1}", value)

    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "rows.csv", "w", newline="\n") as file:
        file.write("# Source: made up by scripts/reference_estimates.py; nobody's data\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["x1", "x2", "x3", "x4", "x5", "x6", "event", "score_a", "score_b"])
        writer.writerows([*map(int, row), int(e), int(a), int(b)] for row, e, a, b in zip(x, event, score_a, score_b))
    with open(FOLDER / "known.csv", "w", newline="\n") as file:
        file.write(f"# Source: scripts/reference_estimates.py with {VERSIONS}; R not at hand\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "value"])
        writer.writerows(known)


main()
