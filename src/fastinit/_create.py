"""The command `fastinit create`: an array on the disk, of any size, in little memory."""

import argparse
import inspect
import json
import os
import shlex
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

import numpy as np

from . import _registry, _seeds, _threads
from ._arrays import empty
from ._base import Initializer
from ._files import FULL, HEADERS, RefusedError, fcntl, is_twice, partial
from ._kernels import STREAM_VERSION

# Bytes that a thread fills and writes at a time.  Fewer cost calls; more, the cache.
CHUNK = 4 << 20
# Threads at once: more outrun any disk, and each has a chunk of memory.
MOST_THREADS = 16
# What is written is noted so often; to know that it is on the disk is to wait for the disk.
KEEP_SECONDS = 1.0

DESCRIPTION = """\
Write an array of initial values to a file, larger than memory if need be: NAME.npy, or
NAME.safetensors.  The values are those of the function of the same name, whatever the threads, the
shards and the interruptions; a .npy file is the one that numpy.save() writes of them.

Until all is there it is called NAME.npy.partial.  After an interruption, be it kill -9 or a loss of
power, `fastinit create NAME.npy --resume` goes on with it; options that are given again must be the
same, and all of them where --init and --shape are among them.  A full disk removes it, unless it
holds what a run before has written.

If NAME.npy is finished, --resume with all options, and --seed, finds that out and succeeds.
"""

EPILOG = """\
examples:
  fastinit create table.npy --init truncated_normal --shape 100000000x64 --dtype bfloat16 \\
      --stddev 0.05 --seed 1
  fastinit create table.npy --resume
  fastinit create shard-3.safetensors --init he_normal --shape 1000000x512 --seed 1 \\
      --rows 750000:1000000 --name embedding.weight
  fastinit create big.npy --init random_uniform --minval -0.01 --maxval 0.01 --shape 1000000,8

NumPy has no bfloat16.  To load such a .npy file, without reading it:
  numpy.load("table.npy", mmap_mode="r").view(ml_dtypes.bfloat16)
"""


def _shape(text):
    dims = text.replace(",", "x").split("x")
    if not all(d.isascii() and d.isdecimal() for d in dims):
        raise argparse.ArgumentTypeError(f"must be like 1000x64 or 1000,64, received {text!r}")
    return [int(d) for d in dims]


def _rows(text):
    first, colon, end = text.partition(":")
    try:
        if colon:
            return [int(part) if part.strip() else None for part in (first, end)]
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be like 1000:2000, :2000 or -500:, received {text!r}")


def _threads_number(text):
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 4096):
        raise argparse.ArgumentTypeError(f"must be from 1 to 4096, received {text!r}")
    return int(text)


def _number(text):
    try:
        return int(text)  # an integer beyond 2^53 keeps its digits
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, received {text!r}") from None


def _axes(text):
    try:
        return [int(axis) for axis in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be like 0,1, received {text!r}") from None


ROWS = {row.name: row for row in _registry.ROWS}
IN_PARTS = [
    name
    for name, row in ROWS.items()
    if _registry.CLASSES[row.class_name]._source is not Initializer._source
]


def _parameters(row):
    """{name: default} of an initializer; its options."""
    parameters = inspect.signature(row.function).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("shape", "dtype", "out")}


def _add_parameters(parser):
    """An option for every parameter of the initializers."""
    group = parser.add_argument_group("parameters of initializers")
    owners = {}  # {parameter: (default, names of initializers)}
    for init in IN_PARTS:
        for name, default in _parameters(ROWS[init]).items():
            owners.setdefault(name, (default, []))[1].append(init)
    texts = {
        name: text for names, text in _registry.ARGUMENTS.items() for name in names.split(", ")
    }
    for name, (default, inits) in owners.items():
        kind, text = texts[name]
        convert, metavar = {str: (str, "NAME"), float: (_number, "X")}.get(
            type(default), (_axes, "I,J")
        )
        if convert is str:
            text = f"{kind.strip('{}')}. {text}".replace('"', "")
        if name == "value":
            text = "A number."  # of an array there would be no end
        if name == "seed":
            convert, metavar = int, "N"
            text = (
                "0 <= N < 2**64; the same values every time.  Left out, it is drawn, and printed "
                "at the end."
            )
        group.add_argument(
            "--" + name.replace("_", "-"),
            type=convert,
            metavar=metavar,
            default=argparse.SUPPRESS,
            help=text.replace("`", "").replace("%", "%%")
            + ("" if len(inits) > 5 else f"  ({', '.join(inits)})"),
        )


def add_command(commands):
    """Add the parser of `fastinit create`."""
    parser = commands.add_parser(
        "create",
        help="write an array to a .npy or .safetensors file, larger than memory if need be",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.set_defaults(run=run)
    suppress = {"default": argparse.SUPPRESS}  # so that what was given is known
    add = parser.add_argument
    add("target", type=Path, metavar="NAME", help="the file, .npy or .safetensors")
    add("--init", **suppress, help=", ".join(IN_PARTS))
    add("--shape", type=_shape, **suppress, help="of the whole array, such as 1000x64 or 1000,64")
    add("--dtype", **suppress, help="float32 (the default), float64, float16, bfloat16; for "
        "constants integers, too")  # fmt: skip
    add("--rows", type=_rows, metavar="A:B", **suppress,
        help="write rows A to B - 1 of the whole alone, as NAME's rows")  # fmt: skip
    add("--name", **suppress, help='of the tensor in a .safetensors file (default "weight")')
    add("--resume", action="store_true", help="go on with NAME.partial, if there is one")
    add("--overwrite", action="store_true",
        help="replace NAME, once all is written; without --resume NAME.partial, too")  # fmt: skip
    add("--threads", type=_threads_number, metavar="N", help="instead of one a processor")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--progress", action="store_true",
        help="a progress bar even where stderr is no terminal")  # fmt: skip
    shown.add_argument(
        "--quiet",
        action="store_true",
        help="print nothing but errors; a random .npy file needs --seed then",
    )
    _add_parameters(parser)


def _lazy(options):
    """The array that the options mean, and all parameters of its initializer."""
    for name in ("init", "shape"):
        if name not in options:
            raise RefusedError(f"--{name} is required")
    init = options["init"]
    if init in ROWS and init not in IN_PARTS:
        raise RefusedError(
            f"{init} makes its array as a whole, not in parts: call fastinit.{init}()"
        )
    if init not in ROWS:
        raise RefusedError(f"unknown initializer {init!r}: one of {', '.join(IN_PARTS)}")
    known = _parameters(ROWS[init])
    for name in options.keys() - {"init", "shape", "dtype", "rows", "name"} - known.keys():
        has = " ".join(f"--{n.replace('_', '-')}" for n in known) or "none"
        raise RefusedError(f"{init} has no --{name.replace('_', '-')}; it has: {has}")
    parameters = {name: options.get(name, default) for name, default in known.items()}
    try:
        for name, value in parameters.items():  # 0 is 0.0, however written
            if isinstance(known[name], float) and float(value) == value:
                parameters[name] = float(value)
        if "seed" in known:
            parameters["seed"] = _seeds.key(parameters["seed"])
        initializer = _registry.CLASSES[ROWS[init].class_name](**parameters)
        return initializer.lazy(options["shape"], options.get("dtype")), parameters
    except (TypeError, ValueError, OverflowError, ImportError) as error:
        raise RefusedError(str(error)) from None


def _draws_seed(options):
    """Whether the initializer takes a seed, and none is given."""
    row = ROWS.get(options["init"])
    return row is not None and "seed" in _parameters(row) and options.get("seed") is None


class Job:
    """What is to be written: `asked`, all options that matter, resolved; and what follows."""

    def __init__(self, target, options):
        self.lazy, parameters = _lazy(options)
        shape, dtype = self.lazy.shape, self.lazy.dtype
        first, end = _span(options.get("rows", (None, None)), shape[0])
        self.shape = (end - first, *shape[1:])
        self.start = first * prod(shape[1:])
        self.nbytes = prod(self.shape) * dtype.itemsize
        self.asked = {
            "init": options["init"],
            "shape": list(shape),
            "dtype": dtype.name,
            "rows": [first, end],
            **parameters,
            "stream_version": STREAM_VERSION,
        }
        metadata = {n: json.dumps(v).strip('"') for n, v in self.asked.items()}
        name = options.get("name", "weight")
        if target.suffix == ".safetensors":
            self.asked["name"] = name
        elif "name" in options:
            raise RefusedError("a .npy file has no --name for its array")
        self.header = HEADERS[target.suffix](dtype, self.shape, self.nbytes, name, metadata)

    def fill(self, out, offset):
        """Fill an array with the values that begin at that byte."""
        start = self.start + offset // out.itemsize
        self.lazy.source.run(out, start, self.lazy.shape)

    def is_in(self, path):
        """Whether a file is finished, by its header, its size, its first and its last values."""
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != len(self.header) + self.nbytes:
                return False
            if file.read(len(self.header)) != self.header:
                return False
            n = min(1 << 16, prod(self.shape))
            out = np.empty(n, self.lazy.dtype)
            for offset in (0, self.nbytes - out.nbytes):
                file.seek(len(self.header) + offset)
                self.fill(out, offset)
                if file.read(out.nbytes) != out.tobytes():
                    return False
        return True


def _span(rows, count):
    """Ends of --rows: those of a slice, but none may be cut off."""
    first, end = rows
    first = 0 if first is None else first + count * (first < 0)
    end = count if end is None else end + count * (end < 0)
    if not 0 <= first < end <= count and (first, end) != (0, count):
        text = ":".join("" if i is None else str(i) for i in rows)
        raise RefusedError(f"--rows {text} is empty or not within the {count} rows of the shape")
    return first, end


def _as_given(name, value):
    """The value of an option as it is written there."""
    if isinstance(value, list):
        separator = {"shape": "x", "rows": ":"}.get(name, ",")
        return separator.join(map(str, value))
    return "none" if value is None else str(value)


def _compare(wanted, asked, options, path):
    """Refuse to go on with a file that holds something else."""
    for name in wanted:
        now, before = wanted[name], asked.get(name)
        if json.dumps(now) != json.dumps(before):
            option = name.replace("_", "-")
            default = "" if name in options else " by default"
            raise RefusedError(
                f"--{option} is {_as_given(name, now)}{default}, but {path} was begun with "
                f"{_as_given(name, before)}: --overwrite begins anew"
            )


class _Silent:
    """In place of a progress bar."""

    def update(self, n):
        pass

    def set_postfix_str(self, text):
        pass

    def close(self):
        pass


def _bar(arguments, job, written):
    wanted = arguments.progress or (sys.stderr.isatty() and not arguments.quiet)
    if not wanted:
        return _Silent()
    try:
        from tqdm import tqdm
    except ImportError:
        print(
            "fastinit create: no progress bar without tqdm, the extra 'cli': pip install tqdm",
            file=sys.stderr,
        )
        return _Silent()
    return tqdm(
        total=job.nbytes,
        initial=written,
        desc=arguments.target.name,
        unit="B",
        unit_scale=True,
        disable=False,
    )


def _write(job, file, written, threads, bar):
    """Write the values from byte `written` on.

    Each thread fills a chunk and writes it: none waits for another, and while one waits for the
    disk the others fill.  One more of them, so that filling never stops for writing.
    """
    workers = min(threads, MOST_THREADS) + 1
    free = SimpleQueue()
    for _ in range(workers):
        free.put(empty((CHUNK // job.lazy.dtype.itemsize,), job.lazy.dtype))

    # Systems let one thread at a time write to a file, and the others wait busily.
    writing = Lock()

    def make(offset, nbytes):
        buffer = free.get()
        try:
            out = buffer[: nbytes // buffer.itemsize]
            job.fill(out, offset)
            with writing:
                file.write(out.view(np.uint8), offset)
        finally:
            free.put(buffer)
        return nbytes

    pending, keeping, due = deque(), None, time.monotonic() + KEEP_SECONDS
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(1) as keeper:
        try:
            for offset in range(written, job.nbytes, CHUNK):
                if len(pending) == 2 * workers:
                    n = pending.popleft().result()
                    written += n
                    bar.update(n)
                    if time.monotonic() > due and (keeping is None or keeping.done()):
                        if keeping:
                            keeping.result()
                        keeping = keeper.submit(file.keep, written)
                        due = time.monotonic() + KEEP_SECONDS
                pending.append(pool.submit(make, offset, min(CHUNK, job.nbytes - offset)))
            while pending:
                bar.update(pending.popleft().result())
            if keeping:
                keeping.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _size(nbytes):
    power = min(4, (len(str(int(nbytes))) - 1) // 3)
    return f"{nbytes / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def _say(arguments, text):
    if not arguments.quiet:
        print(text)


def _compare_complete(target, options, path):
    """Refuse to name a complete file that holds something else."""
    if not options:
        return
    if not {"init", "shape"} <= options.keys() or _draws_seed(options):
        raise RefusedError(
            f"{path} is complete: --resume alone names it; with all options and --seed a part of "
            "it is compared"
        )
    if not Job(target, options).is_in(path):
        raise RefusedError(f"{path} is complete, but holds something else: --overwrite begins anew")


def _make(arguments, options):
    """Write the file; the exit code."""
    target = arguments.target
    path = target.with_name(target.name + ".partial")
    if target.is_dir():
        raise RefusedError(f"{target} is a directory")
    if not target.parent.is_dir():
        raise RefusedError(f"{target}: there is no directory {target.parent}")
    if is_twice(path, target):
        with partial(path):  # or another run is about to do the same
            if is_twice(path, target):
                path.unlink()
        if arguments.resume and not options:
            _say(arguments, f"{target} is finished already")
            return 0
    is_there = os.path.lexists(path)
    if os.path.lexists(target) and not arguments.overwrite:
        whole = {"init", "shape", "seed"} <= options.keys()
        if arguments.resume and not is_there and whole:
            if Job(target, options).is_in(target):
                _say(arguments, f"{target} is finished already")
                return 0
            raise RefusedError(f"{target} exists and holds something else: --overwrite replaces it")
        if arguments.resume and not is_there:
            raise RefusedError(
                f"{target} exists, and no {path.name} to go on with: it was finished, or made by "
                "other means; with all options and --seed a part of it is compared"
            )
        raise RefusedError(f"{target} exists: --overwrite replaces it")
    if arguments.resume and not is_there and not options.keys() & {"init", "shape"}:
        raise RefusedError(f"there is no {path} to go on with")
    job = None if is_there else Job(target, options)  # no file is made for wrong options
    with partial(path) as file:
        if os.path.lexists(target) and not arguments.overwrite:  # since it was looked for
            raise RefusedError(f"{target} exists: --overwrite replaces it")
        has_content = os.stat(path).st_size > 0
        if has_content and not (arguments.resume or arguments.overwrite):
            raise RefusedError(f"{path} exists: --resume goes on, --overwrite begins anew")
        asked, written = (file.state() if arguments.resume else None) or (None, 0)
        if asked:
            given = options
            if not {"init", "shape"} <= options.keys():
                # First of all: they decide what the others mean.
                alone = {n: options[n] for n in ("init", "shape") if n in options}
                _compare(alone, asked, options, path)
                options = {**asked, **options}
                options.pop("stream_version", None)
            if options.get("init") == asked["init"] and "seed" in asked:
                options = {"seed": asked["seed"], **options}
            job = Job(target, options)
            _compare({**dict.fromkeys(asked), **job.asked}, asked, given, path)
        elif arguments.resume and file.is_complete(target.suffix):
            _compare_complete(target, options, path)
            file.publish(target, arguments.overwrite)
            _say(arguments, f"{target}: {path.name} was complete, and has got its name")
            return 0
        elif arguments.resume and not file.is_blank():
            raise RefusedError(
                f"{path} was not begun by this command, or is damaged: "
                "--overwrite without --resume begins anew"
            )
        else:
            job = job or Job(target, options)
            if arguments.quiet and target.suffix == ".npy" and _draws_seed(options):
                raise RefusedError("--quiet needs --seed: the drawn one would be lost")
        again = ["fastinit", "create", str(target), "--resume"]
        again = shlex.join(again + ["--overwrite"] * arguments.overwrite)
        try:
            if asked:
                file.resume(job.header, job.nbytes)
            else:
                file.begin(job.header, job.nbytes, job.asked)
            report = _finish(arguments, job, file, written)
        except OSError as error:
            if error.errno not in FULL:
                raise
            if written:  # by a run before: not lost for the failing of this one
                kept = f"{path} is kept; to go on: {again}"
            else:
                path.unlink()
                kept = "nothing of it is left there"
            raise RefusedError(f"{target}: {error.strerror}; {kept}") from None
        except KeyboardInterrupt:
            print(f"\ninterrupted; to go on: {again}", file=sys.stderr)
            raise
        _say(arguments, report)
    return 0


def _finish(arguments, job, file, written):
    """Write what is left; what there is to say of it."""
    target, left = arguments.target, job.nbytes - written
    start = time.monotonic()
    bar = _bar(arguments, job, written)
    threads, _threads.count = _threads.count, 1
    try:
        _write(job, file, written, arguments.threads or threads, bar)
        bar.set_postfix_str("waiting for the disk")
        file.finish()
        file.publish(target, arguments.overwrite)
    finally:
        bar.close()  # its line, before any other
        _threads.count = threads
    seconds = time.monotonic() - start
    shape = "x".join(map(str, job.shape))
    seed = f", seed {job.asked['seed']}" if "seed" in job.asked else ""
    return (
        f"{target}: {shape} {job.lazy.dtype}{seed}; {_size(left)} in {seconds:.1f} s, "
        f"{_size(left / max(seconds, 1e-3))}/s"
    )


def run(arguments):
    """Write the file; the exit code."""
    own = {"run", "command", "target", "resume", "overwrite", "threads", "progress", "quiet"}
    options = {n: v for n, v in vars(arguments).items() if n not in own}
    if arguments.target.suffix not in HEADERS:
        raise RefusedError(f"{arguments.target} must end in {' or '.join(HEADERS)}")
    if fcntl is None:
        raise RefusedError("create needs the file locks of POSIX, which Windows lacks")
    try:
        return _make(arguments, options)
    except MemoryError as error:
        raise RefusedError(str(error) or "out of memory") from None
    except OSError as error:
        message = f"{error.filename or arguments.target}: {error.strerror or error}"
        raise RefusedError(message) from None
