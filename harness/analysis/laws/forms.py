"""The two forms of a law, their parameters, and what follows from them: losses, optima and compute, for many draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis.laws.objective import Array

# Training FLOPs per parameter and token: two forward and four backward, attention left out.
FLOPS_PER_PARAM_TOKEN = 6.0


@dataclass(frozen=True, slots=True)
class Form:
    """One form: `columns` are what it is a function of, each with a coefficient and an exponent.

    A parameter vector is ordered (ln E, ln A, alpha) or (ln E, ln A, alpha, ln B, beta).
    """

    name: str
    columns: tuple[str, ...]

    @property
    def num_params(self) -> int:
        """Free parameters: E, and two for each column."""
        return 1 + 2 * len(self.columns)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names in the order of the vector."""
        return ("E", "A", "alpha", "B", "beta")[: self.num_params]

    @property
    def min_configurations(self) -> int:
        """Distinct configurations needed: one more than parameters, or nothing is left to tell the noise."""
        return self.num_params + 1


LOSS_OF_SIZE_AND_TOKENS = Form("L(N, D) = E + A N^-alpha + B D^-beta", ("params", "tokens"))
LOSS_OF_COMPUTE = Form("L(C) = E + A C^-alpha", ("flops",))
# Each power term needs three levels: with two, its exponent and E cannot be told apart.
MIN_LEVELS = 3


def name_values(form: Form, vector: Array) -> dict[str, Array]:
    """Return each parameter on its own scale, by name, from vectors (..., p)."""
    with np.errstate(over="ignore"):  # a coefficient of a term that is not identified may leave the range of a float
        return {
            name: np.asarray(vector[..., i] if name in {"alpha", "beta"} else np.exp(vector[..., i]))
            for i, name in enumerate(form.parameters)
        }


def predict_loss(form: Form, vector: Array, columns: dict[str, Array]) -> Array:
    """Return the loss (R, n) of vectors (R, p) at n points given by `columns`."""
    total = np.exp(vector[:, :1])
    for k, column in enumerate(form.columns):
        logs = np.log(columns[column])
        total = total + np.exp(vector[:, 1 + 2 * k, None] - vector[:, 2 + 2 * k, None] * logs[None, :])
    return np.asarray(total, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Optimum:
    """Where the loss is lowest for a budget: parameters, tokens (``None`` for L(C)) and the loss, each (R,)."""

    params: Array | None
    tokens: Array | None
    loss: Array


def find_optimum(form: Form, vector: Array, budget: float, flops_per_param_token: float) -> Optimum:
    """Return the compute-optimal point of vectors (R, p) at `budget` FLOPs.

    With C = k N D: N* = G (C/k)^(beta/(alpha+beta)), G = (alpha A / (beta B))^(1/(alpha+beta)), D* = (C/k) / N*
    (Hoffmann et al. 2022, equation 4, there with k = 6). Draws whose exponents are not above zero give NaN.
    """
    if form is LOSS_OF_COMPUTE:
        return Optimum(None, None, predict_loss(form, vector, {"flops": np.array([budget])})[:, 0])
    _, log_a, alpha, log_b, beta = np.where(_has_optimum(vector)[:, None], vector, np.nan).T
    product = np.log(budget) - np.log(flops_per_param_token)
    log_params = (np.log(alpha) + log_a - np.log(beta) - log_b + beta * product) / (alpha + beta)
    log_tokens = product - log_params
    loss = np.exp(vector[:, 0]) + np.exp(log_a - alpha * log_params) + np.exp(log_b - beta * log_tokens)
    return Optimum(np.exp(log_params), np.exp(log_tokens), loss)


def find_compute(form: Form, vector: Array, loss: Array, flops_per_param_token: float) -> Array:
    """Return the least FLOPs (R,) at which vectors (R, p) reach `loss` (R,); infinity at or below E.

    For L(N, D) along the optimum: L*(C) = E + K (C/k)^-gamma with gamma = alpha beta / (alpha + beta).
    """
    above = loss - np.exp(vector[:, 0])
    if form is LOSS_OF_COMPUTE:
        log_scale, gamma, log_unit = vector[:, 1], vector[:, 2], 0.0
    else:
        _, log_a, alpha, log_b, beta = np.where(_has_optimum(vector)[:, None], vector, np.nan).T
        log_g = (np.log(alpha) + log_a - np.log(beta) - log_b) / (alpha + beta)
        log_scale = np.logaddexp(log_a - alpha * log_g, log_b + beta * log_g)
        gamma, log_unit = alpha * beta / (alpha + beta), float(np.log(flops_per_param_token))
    gamma = np.where(gamma > 0, gamma, np.nan)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        log_flops = log_unit + (log_scale - np.log(np.maximum(above, 0.0))) / gamma
        return np.asarray(np.where(above > 0, np.exp(log_flops), np.where(np.isnan(gamma), np.nan, np.inf)))


def _has_optimum(vector: Array) -> Array:
    return np.asarray((vector[:, 2] > 0) & (vector[:, 4] > 0))
