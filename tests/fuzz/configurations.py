"""Fuzz `initializers.deserialize` and `get`: text that JSON reads, and dictionaries of any content.

A configuration is no trusted input.  It is refused by ValueError or TypeError with a message of one
line, or the initializer that it makes has a configuration that makes an equal one.
"""

import json

import atheris
import common

with atheris.instrument_imports(include=["fastinit"]):
    import numpy as np

    from fastinit import initializers
    from fastinit.initializers._catalog import CATALOG

NAMES = [name for entry in CATALOG for name in (entry.name, entry.cls.__name__)]
KEYS = ["mean", "stddev", "minval", "maxval", "seed", "scale", "mode", "distribution", "value",
        "gain", "lower", "upper", "input_axes", "output_axes", "batch_axis", "side", "window",
        "scaling", "periodic", "name", "dtype", "class_name", "config"]  # fmt: skip


def value(data, depth=0):
    """Return a value of JSON."""
    kind = data.ConsumeIntInRange(0, 11 if depth < 3 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return data.ConsumeBool()
    if kind == 2:
        return data.ConsumeInt(9)
    if kind == 3:
        return data.ConsumeFloat()
    if kind == 4:
        return data.ConsumeUnicodeNoSurrogates(8)
    if kind == 5:
        return data.PickValueInList(NAMES + KEYS)
    if kind == 6:
        return data.ConsumeRegularFloat()
    if kind == 7:
        return [value(data, depth + 1) for _ in range(data.ConsumeIntInRange(0, 3))]
    if kind == 8:
        dtype = data.PickValueInList(["float32", "int8", "V3", "O", "M8", 5])
        inner = {"value": value(data, depth + 1), "dtype": dtype}
        return {"class_name": "__numpy__", "config": inner}
    if kind == 9:
        seeds = {"seed": value(data, depth + 1), "name": value(data, depth + 1)}
        return {"class_name": "SeedGenerator", "config": seeds}
    return {data.PickValueInList(KEYS): value(data, depth + 1)
            for _ in range(data.ConsumeIntInRange(0, 4))}  # fmt: skip


def configuration(raw):
    """Return what the bytes stand for."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        pass
    data = atheris.FuzzedDataProvider(raw)
    arguments = {data.PickValueInList(KEYS): value(data)
                 for _ in range(data.ConsumeIntInRange(0, 4))}  # fmt: skip
    config = {"class_name": data.PickValueInList(NAMES), "config": arguments}
    if data.ConsumeBool():
        config["module"] = value(data)
        config["registered_name"] = value(data)
    return config


def check_message(text):
    assert "\n" not in text, text
    assert len(text) < 2000, text


def target(raw):
    config = configuration(raw)
    before = repr(config)
    for load in (initializers.get, initializers.deserialize):
        try:
            found = load(config)
        except (ValueError, TypeError, OverflowError) as error:
            check_message(str(error))
            continue
        assert repr(config) == before
        if isinstance(found, initializers.Initializer):
            text = json.dumps(initializers.serialize(found))
            again = initializers.deserialize(json.loads(text))
            same = again == found or "nan" in repr(found) or "SeedGenerator" in text
            assert same or "__numpy__" in text, (found, again)


def seeds():
    for entry in CATALOG:
        yield json.dumps(initializers.serialize(entry.cls())).encode()
    constant = initializers.Constant(np.arange(3.0))
    yield json.dumps(initializers.serialize(constant)).encode()
    yield from (bytes(range(n, n + 60)) for n in range(0, 196, 40))


if __name__ == "__main__":
    common.run(target, seeds())
