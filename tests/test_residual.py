"""Residual scaling by depth."""

import math

import numpy as np
import pytest

from fastinit import initializers
from fastinit.initializers import deepnorm, fixup, gpt2_residual


def test_gpt2():
    initializer = gpt2_residual(12, seed=3)
    assert initializer == initializers.RandomNormal(0.0, 0.02 / math.sqrt(24), 3)
    assert gpt2_residual(np.int64(2), 0.5).stddev == 0.25
    assert initializers.get(initializers.serialize(initializer)) == initializer


def test_gpt2_keeps_the_stream():
    """A sum of 2 n branches, each scaled by 1 / sqrt(2 n), has the variance of one branch."""
    n = 8
    rng = np.random.default_rng(1)
    stream = np.zeros((512, 64))
    for branch in range(2 * n):
        weights = gpt2_residual(n, stddev=1 / math.sqrt(64), seed=branch)((64, 64), "float64")
        stream += rng.standard_normal((512, 64)) @ weights
    # 16 matrices of 4096 weights: the variance's standard error is sqrt(2 / 65536) = 0.6%, and of
    # the inputs 0.2%.
    assert stream.var() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize(
    ("layers", "part", "alpha", "beta"),
    [
        # Figure 2 of the paper, by hand: (2 * 8)**0.25 = 2, (8 * 2)**-0.25 = 0.5.
        ((8, 0), None, 2.0, 64**-0.25),
        ((0, 2), None, 4**0.25, 0.5),
        ((16, 16), "encoder", 0.81 * 2**1.25, 0.87 / 2**1.25),  # (16**5)**(1/16) = 2**(20/16)
        ((16, 27), "decoder", 3.0, 324**-0.25),
    ],
)
def test_deepnorm(layers, part, alpha, beta):
    rule = deepnorm(*layers, part=part, seed=5)
    assert rule.alpha == pytest.approx(alpha, rel=1e-12)
    assert rule.beta == pytest.approx(beta, rel=1e-12)
    assert rule.initializer.seed == 5
    # torch.nn.init.xavier_normal_(gain=beta): the deviation is beta sqrt(2 / (fan_in + fan_out)).
    values = rule.initializer((300, 500))
    expected = beta * math.sqrt(2 / 800)
    assert values.std() == pytest.approx(expected, rel=0.01)  # its standard error is 0.18%
    assert np.abs(values).max() > 3 * expected  # the normal is not truncated


def test_fixup():
    # L**(-1 / (2 m - 2)): L = 16, m = 3 gives 1 / 2 for the weights.
    initializer = fixup(16, 3, seed=5)
    values = initializer((400, 200))
    assert values.std() == pytest.approx(math.sqrt(2 / 400) / 2, rel=0.01)
    assert fixup(1, 2).scale == 2
    assert fixup(9, 2).scale == pytest.approx(2 / 9, rel=1e-15)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gpt2_residual(0), ValueError, "n_layers must be at least 1, received 0"),
        (lambda: gpt2_residual(1.5), TypeError, "n_layers must be an integer"),
        (lambda: gpt2_residual(2, -0.1), ValueError, "stddev must be >= 0"),
        (lambda: deepnorm(), ValueError, "at least 1"),
        (lambda: deepnorm(-1), ValueError, "encoder_layers must be at least 0"),
        (lambda: deepnorm(2, 2), ValueError, "part must be encoder or decoder, received None"),
        (lambda: deepnorm(2, part="decoder"), ValueError, "part must be encoder, received"),
        (lambda: gpt2_residual(12, "0.02"), TypeError, "stddev must be a number"),
        (lambda: gpt2_residual(12, None), TypeError, "stddev must be a number"),
        (lambda: gpt2_residual(12, -1), ValueError, "stddev must be >= 0, received -1"),
        (lambda: gpt2_residual(10**400), ValueError, "n_layers must be at most 1000000000"),
        (lambda: deepnorm(10**100, 3, "encoder"), ValueError, "encoder_layers must be at most"),
        (lambda: fixup(10**400, 2), ValueError, "n_branches must be at most"),
        (lambda: fixup(0, 2), ValueError, "n_branches must be at least 1"),
        (lambda: fixup(2, 1), ValueError, "branch_layers must be at least 2"),
        (lambda: fixup("2", 2), TypeError, "n_branches must be an integer"),
    ],
)
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
