"""The maximal update parametrization."""

import math

import numpy as np
import pytest

from fastinit import initializers
from fastinit.initializers import mup


def test_table_8():
    """Tensor Programs V, table 8, by hand for a width of four times the base."""
    rules = {
        kind: mup(kind, 1024, 256, scale=2.0, seed=1) for kind in ("input", "hidden", "output")
    }
    factors = {kind: (rule.multiplier, rule.sgd, rule.adam) for kind, rule in rules.items()}
    assert factors == {"input": (1, 4, 1), "hidden": (1, 1, 1 / 4), "output": (1 / 4, 4, 1)}
    scales = {kind: rule.initializer.scale for kind, rule in rules.items()}
    assert scales == {"input": 2, "hidden": 2, "output": 8}
    for rule in rules.values():
        assert (rule.initializer.mode, rule.initializer.seed) == ("fan_in", 1)


def test_the_variance_of_output_weights_does_not_depend_on_the_width():
    deviations = [mup("output", w, 128, seed=1).initializer((w, 500)).std() for w in (128, 512)]
    # 64000 values: the standard error is 0.3%.
    assert deviations == pytest.approx([1 / math.sqrt(128)] * 2, rel=0.02)


@pytest.mark.parametrize("kind", ["input", "hidden", "output"])
def test_the_base_width_changes_nothing(kind):
    rule = mup(kind, 300, 300, 1.7, "uniform")
    assert rule.initializer == initializers.VarianceScaling(1.7, "fan_in", "uniform")
    assert (rule.multiplier, rule.sgd, rule.adam) == (1, 1, 1)


def test_a_step_changes_features_alike_at_every_width():
    """The aim of the rules: after one step of either optimizer, hidden features and the output
    change by amounts that do not depend on the width (Tensor Programs V, section 5)."""

    def step(width, optimizer):
        base, rate = 64, 0.1
        rules = {kind: mup(kind, width, base, seed=7) for kind in ("input", "hidden", "output")}
        shapes = {"input": (16, width), "hidden": (width, width), "output": (width, 1)}
        weights = {k: rules[k].initializer(shapes[k], "float64") for k in shapes}
        x = np.ones((1, 16)) / 4

        def forward():
            h = x @ weights["input"]
            k = h @ weights["hidden"]
            return h, k, k @ weights["output"] * rules["output"].multiplier

        h, k, y = forward()
        back = weights["output"].T * rules["output"].multiplier
        gradients = {
            "output": k.T * rules["output"].multiplier,
            "hidden": h.T @ back,
            "input": x.T @ (back @ weights["hidden"].T),
        }
        for kind, gradient in gradients.items():
            change = np.sign(gradient) if optimizer == "adam" else gradient
            weights[kind] = weights[kind] - rate * getattr(rules[kind], optimizer) * change / 64
        h2, k2, y2 = forward()
        return [float(np.sqrt(np.mean((b - a) ** 2))) for a, b in ((h, h2), (k, k2), (y, y2))]

    for optimizer in ("adam", "sgd"):
        narrow, wide = step(256, optimizer), step(2048, optimizer)
        # Eight times the width.  A wrong power of it would change a ratio by 2.8 or more; the
        # sums of 256 random terms differ by some percent from their limits, and terms of lower
        # order in the width by 1 / sqrt(256).
        assert np.array(wide) / narrow == pytest.approx(np.ones(3), rel=0.5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("bias", 2, 1), ValueError, "kind must be input, hidden or output, received 'bias'"),
        (("input", 0, 1), ValueError, "width must be a positive number, received 0"),
        (("input", 1, math.inf), ValueError, "base_width must be a positive number"),
        (("input", "2", 1), TypeError, "width must be a number"),
        (("hidden", 1e-308, 1e308), ValueError, "width / base_width must be a positive number"),
        (("hidden", 1e-309, 1), ValueError, "width / base_width must be a positive number"),
        (("input", 1e308, 1e-308), ValueError, "width / base_width must be a positive number"),
        (("input", 2, 1, 0), ValueError, "scale must be a positive number"),
        (("input", 2, 1, 1, "gamma"), ValueError, "distribution must be one of"),
    ],
)
def test_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        mup(*arguments)
