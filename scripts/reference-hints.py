"""Scores of transferability by dense formulas, for the tests of crates/deepfit-train/src/compare/transfer_hint/.

LogME: the evidence of a row by scipy's multivariate normal, N(0, I / noise + F F' / weights), with both precisions found by
scipy's minimiser. H-score: scikit-learn's shrunk covariance and a dense inverse. LEEP: sums, one by one.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf


def numbers(count):
    i = np.arange(count, dtype=np.int64)
    return (i * i * 7919 % 10007) / 5003.5 - 1.0


def features(rows, width, classes):
    x = numbers(rows * width).reshape(rows, width)
    y = np.arange(rows) % classes
    x[:, 0] += y
    return x, y


def logme(x, y):
    def loss(logs):
        covariance = np.eye(len(x)) / np.exp(logs[1]) + x @ x.T / np.exp(logs[0])
        return -multivariate_normal(np.zeros(len(x)), covariance).logpdf(y) / len(x)

    options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 10_000}
    return -minimize(loss, [0.0, 0.0], method="Nelder-Mead", options=options).fun


def h_score(x, y):
    covariance, share = ledoit_wolf(x)
    means = np.stack([x[y == c].mean(axis=0) for c in y])
    between = np.cov(means, rowvar=False, bias=True)
    return np.trace(np.linalg.inv(covariance) @ between) * (1 - share)


def leep(probabilities, y):
    total = 0.0
    for row, label in zip(probabilities, y):
        own = 0.0
        for source, probability in enumerate(row):
            joint = probabilities[y == label, source].sum() / len(y)
            own += probability * joint / (probabilities[:, source].sum() / len(y))
        total += np.log(own)
    return total / len(y)


for rows, width in [(30, 4), (12, 20)]:
    x, y = features(rows, width, 3)
    of_classes = np.mean([logme(x, (y == c).astype(float)) for c in range(3)])
    print(f"{rows} x {width}: LogME {of_classes:.9f}, H-score {h_score(x, y):.9f}")
x, _ = features(30, 4, 3)
print(f"values: LogME {logme(x, numbers(30) + x[:, 1]):.9f}")
logits, y = features(30, 5, 3)
probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
print(f"LEEP {leep(probabilities, y):.9f}")
