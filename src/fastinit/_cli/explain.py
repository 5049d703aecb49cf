"""The command `fastinit explain`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import import_module
from typing import Any

from .._explain import explain
from .._files.errors import RefusedError
from .._files.job import initializer_name, parameters_of, unknown_initializer
from ..initializers._catalog import CATALOG
from .create import PARAMETERS, as_dimensions

DESCRIPTION = """\
Print the fans of an initializer for a shape, the mean, standard deviation and bounds of its values
and, with --activation, the standard deviations of activations and gradients in layers of infinite
width, a warning where they vanish or explode, and a gain that prevents it.  fastinit.explain() does
the same.  All numbers follow from formulas; --draws also measures real networks.

With --model instead, print the statistics of the initial weights of a model of PyTorch or Keras, as
fastinit.torch.explain() and fastinit.keras.explain() do.  The command imports the module, also from
the current folder, and calls the function, which returns the model, or a tuple of the model and an
input.
"""

EPILOG = """\
examples:
  fastinit explain --init he_normal --shape 256x256 --activation gelu --depth 20
  fastinit explain --init variance_scaling --scale 2.155 --shape 256x256 --activation gelu
  fastinit explain --init glorot_uniform --shape 3x3x64x128 --json
  fastinit explain --model my_models:make_model
"""


def add_parser(commands: Any) -> None:
    """Add the parser of `fastinit explain`."""
    parser = commands.add_parser(
        "explain",
        help="print fans, bounds and the variance through layers for an initializer and a shape",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.set_defaults(run=run)
    integer, number = PARAMETERS["seed"][0], PARAMETERS["stddev"][0]
    names = ", ".join(entry.name for entry in CATALOG if entry.name != "stft")
    add = parser.add_argument
    add("--init", type=initializer_name, help=names)
    add("--shape", type=as_dimensions, help="shape of one layer, such as 1000x64")
    add("--model", metavar="MODULE:FUNCTION", help="use a model that this function returns")
    add("--dtype", help="float32 (the default), float64, float16, bfloat16")
    add("--activation", metavar="NAME", help="the function after each layer, such as gelu")
    add("--negative-slope", type=number, metavar="X", help="slope of a leaky function")
    add("--depth", type=integer, metavar="N", help="number of layers (default: 50)")
    add("--draws", type=integer, metavar="N", help="also measure N networks of square matrices")
    add("--seed", type=integer, metavar="N", default=0,
        help="seed of the measured networks, or of a model's random layers")  # fmt: skip
    add("--json", action="store_true", help="print one JSON object; infinite numbers are null")
    group = parser.add_argument_group("parameters of initializers")
    texts = {name: text for name, (_, _, text) in PARAMETERS.items()}
    texts["gain"] = "The factor of the identity, or of the orthogonal matrix."
    for name, (convert, metavar, _) in PARAMETERS.items():
        if name != "seed":
            group.add_argument(
                "--" + name.replace("_", "-"),
                type=convert,
                metavar=metavar,
                default=argparse.SUPPRESS,
                help=texts[name],
            )


def _of_initializer(arguments: argparse.Namespace) -> Any:
    """Return the explanation of an initializer for a shape."""
    missing = [f"--{name}" for name in ("init", "shape") if getattr(arguments, name) is None]
    if missing:
        raise RefusedError(f"without --model, this is required: {', '.join(missing)}")
    entries = {entry.name: entry for entry in CATALOG if entry.name != "stft"}
    if arguments.init not in entries:
        raise unknown_initializer(arguments.init, entries)
    entry = entries[arguments.init]
    known = parameters_of(entry).keys() - {"seed"}
    given = {name: value for name, value in vars(arguments).items() if name in PARAMETERS}
    del given["seed"]
    for name in given.keys() - known:
        option = name.replace("_", "-")
        has = " ".join(f"--{n.replace('_', '-')}" for n in sorted(known)) or "none"
        raise RefusedError(f"{entry.name} has no --{option}; it has: {has}")
    try:
        return explain(
            entry.cls(**given),
            arguments.shape,
            activation=arguments.activation,
            depth=arguments.depth,
            dtype=arguments.dtype,
            negative_slope=arguments.negative_slope,
            draws=arguments.draws or 0,
            seed=arguments.seed,
        )
    except (ValueError, TypeError, OverflowError, ImportError) as error:
        raise RefusedError(str(error)) from None


def _of_model(arguments: argparse.Namespace) -> Any:
    """Return the report of the model that a function of the user's returns."""
    kept = ("command", "run", "model", "seed", "json")
    for name, value in vars(arguments).items():
        if name not in kept and value is not None:
            raise RefusedError(f"--{name.replace('_', '-')} does not go with --model")
    module, _, function = arguments.model.partition(":")
    if not module or not function:
        raise RefusedError(f"--model must be MODULE:FUNCTION, received {arguments.model!r}")
    sys.path.insert(0, os.getcwd())  # as with python -m
    try:
        make = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise RefusedError(f"--model: {error}") from None
    model, inputs = make(), ()
    if isinstance(model, tuple):
        if len(model) != 2:
            raise RefusedError(f"{arguments.model} must return a model, or a model and an input")
        model, inputs = model[0], model[1:]
    roots = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    # Keras comes first: on its torch backend, its models are PyTorch's, too.
    for name in ("keras", "torch"):
        if name in roots:
            try:
                adapter = import_module(f"fastinit.{name}")
                return adapter.explain(model, *inputs, seed=arguments.seed)
            except (ValueError, TypeError, ImportError) as error:
                raise RefusedError(str(error)) from None
    raise RefusedError(f"{arguments.model} returns no model of PyTorch or Keras: {type(model)}")


def run(arguments: argparse.Namespace) -> int:
    """Print the report and return the exit code."""
    found = (_of_initializer if arguments.model is None else _of_model)(arguments)
    print(json.dumps(found.to_dict(), allow_nan=False) if arguments.json else found)
    if sys.stdout is not None:
        sys.stdout.flush()  # an error is raised here, not at exit
    return 0
