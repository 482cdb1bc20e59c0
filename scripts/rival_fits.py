#!/usr/bin/env python3
"""Fits the matrix that `cargo bench --bench estimate` wrote with scikit-learn and glum, and compares the coefficients.

    ESTIMATE_WRITE=/tmp/matrix cargo bench --bench estimate
    python3 scripts/rival_fits.py /tmp/matrix [runs]
"""

import sys
import time
from pathlib import Path

import glum
import numpy as np
import scipy.sparse
import sklearn
from glum import GeneralizedLinearRegressor
from sklearn.linear_model import LogisticRegression

folder, runs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
starts = np.fromfile(folder / "starts.u64", dtype="<u8").astype(np.int64)
columns = np.fromfile(folder / "columns.u16", dtype="<u2").astype(np.int32)
values = np.fromfile(folder / "values.f64", dtype="<f8")
events = np.fromfile(folder / "events.u8", dtype="u1").astype(float)
ours = np.fromfile(folder / "ours.f64", dtype="<f8")
x = scipy.sparse.csr_matrix((values, columns, starts), shape=(len(events), len(ours) - 1))


def report(name, make):
    for _ in range(runs):
        start = time.perf_counter()
        intercept, coefficients = make()
        seconds = time.perf_counter() - start
        furthest = np.max(np.abs(np.concatenate([[intercept], coefficients]) - ours))
        print(f"{name}: {seconds:.2f} s; furthest from ours {furthest:.2e}")


def of_sklearn(tol):
    def make():
        model = LogisticRegression(C=np.inf, solver="lbfgs", tol=tol, max_iter=5_000).fit(x, events)
        return model.intercept_[0], model.coef_[0]
    return make


def of_glum():
    # Its own kind of sparse matrix, by columns; turned into once, and not timed.
    model = GeneralizedLinearRegressor(family="binomial", alpha=0, gradient_tol=1e-7, max_iter=500).fit(by_column, events)
    return model.intercept_, model.coef_


by_column = scipy.sparse.csc_matrix(x)
print(f"scikit-learn {sklearn.__version__}, glum {glum.__version__}, numpy {np.__version__}; {x.shape}, {x.nnz} values")
report("scikit-learn lbfgs, tol 1e-4 (its default)", of_sklearn(1e-4))
report("scikit-learn lbfgs, tol 1e-7", of_sklearn(1e-7))
report("glum", of_glum)
