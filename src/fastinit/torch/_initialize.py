"""Initialize a model by the names of its parameters, the same on any mesh."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from fnmatch import fnmatchcase
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from .._messages import shown, type_of
from .._seeds import derive_seed, key
from ..initializers._base import Initializer
from ..initializers._catalog import CATALOG
from . import init as functions
from ._names import Names, named_tensors, plain_name, unwrapped
from ._shards import is_distributed, sharded_axes
from ._watch import Watch, write_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from .._typing import Seed

    Rule: TypeAlias = Callable[[Any], Any] | float
    Init: TypeAlias = Mapping[str, Rule] | Callable[[Any], Any]

Model = TypeVar("Model")

# The modules of the functions that return arrays.
_OF_ARRAYS = {entry.function.__module__ for entry in CATALOG}


def _is_pretrained(module: Any) -> bool:
    """Return whether a module initializes all modules in it as transformers' models do."""
    return hasattr(module, "initialize_weights") and hasattr(module, "_init_weights")


def _takes(method: Any, count: int) -> bool:
    """Return whether a method can be called with that number of arguments."""
    try:
        signature(method).bind(*[None] * count)
    except TypeError:
        return False
    return True


class _Run:
    """One initialization of a model's modules."""

    def __init__(self, model: Any, names: Names, watch: Watch) -> None:
        self.names = names
        self.watch = watch
        self.name_of: dict[int, str] = {}
        for name, module in model.named_modules(remove_duplicate=False):
            name = plain_name(name)
            self.name_of[id(module)] = min(name, self.name_of.get(id(module), name))
        self._done: set[int] = set()

    def enter(self, name: str) -> None:
        """Set the name of the module or parameter that is initialized next.

        It also seeds the numbers that stay PyTorch's, such as those of exponential_.
        """
        with torch._C.DisableTorchFunction():
            self.watch.copies.end()
        self.names.module = name
        word = derive_seed(self.names.seed, f"{self.names.module}()")
        torch.default_generator.manual_seed(word)

    def _begin(self, module: Any) -> bool:
        """Return whether a module is visited for the first time: it may have several names."""
        new = id(module) not in self._done
        self._done.add(id(module))
        return new

    def each(self, module: Any, init: Callable[[Any], Any]) -> None:
        """Apply a function to all modules, children first, as torch.nn.Module.apply does."""
        self._done.clear()
        self._each(module, init)

    def _each(self, module: Any, init: Callable[[Any], Any]) -> None:
        module = unwrapped(module)
        if not self._begin(module):
            return
        for child in module.children():
            self._each(child, init)
        self.enter(self.name_of[id(module)])
        init(module)

    def own(self, module: Any, inside: bool = False) -> None:
        """Do what the construction of a module does: its parts' defaults, then its own rules."""
        module = unwrapped(module)
        if not self._begin(module):
            return
        if _is_pretrained(module):
            self.pretrained(module)
            return
        weights = getattr(module, "init_weights", None)
        by_module = getattr(module, "_init_weights", None)
        has_rules = callable(weights) or callable(by_module)
        for child in module.children():
            self.own(child, inside or has_rules)
        name = self.name_of[id(module)]
        self.enter(name)
        for method in ("reset_parameters", "_reset_parameters"):
            if callable(getattr(module, method, None)) and _takes(getattr(module, method), 0):
                getattr(module, method)()
                break
        if inside or not has_rules:
            return
        if callable(weights) and _takes(weights, 0):
            self.enter(name)
            weights()
            return
        done, self._done = self._done, set()
        for rules in (weights, by_module):
            if callable(rules) and _takes(rules, 1):
                self._each(module, rules)
                break
        self._done = done

    def pretrained(self, model: Any) -> None:
        """Initialize a model of transformers, and tie its weights."""
        wrapped = [module for module in map(unwrapped, model.modules()) if _is_pretrained(module)]

        def entering(init_weights: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def call(module: Any) -> Any:
                self.enter(self.name_of[id(module)])
                return init_weights(module)

            return call

        for module in model.modules():
            vars(module).pop("_is_hf_initialized", None)
        for _, tensor in named_tensors(model):
            vars(tensor).pop("_is_hf_initialized", None)
        # fully_shard gives a model a class from another Python module, which transformers takes for
        # user code.  It then skips modules that have no parameters of their own, such as GPT-2's
        # attention, whose rule scales the parameters of its children.
        vars(model)["is_custom_code"] = lambda: False
        for module in wrapped:
            vars(module)["_init_weights"] = entering(module._init_weights)
        try:
            model.initialize_weights()
        finally:
            del vars(model)["is_custom_code"]
            for module in wrapped:
                vars(module).pop("_init_weights", None)
        _tie(model)


def _tie(model: Any) -> None:
    """Let a model of transformers tie its weights, if it has them."""
    if _is_pretrained(model) and hasattr(model, "tie_weights"):
        with suppress(AttributeError):  # a stage of a pipeline may lack one of the two
            model.tie_weights()


def _tie_all(module: Any) -> None:
    """Tie the weights of all models of transformers that are not part of another one."""
    module = unwrapped(module)
    if _is_pretrained(module):
        _tie(module)
    else:
        for child in module.children():
            _tie_all(child)


def _pattern(rules: Mapping[str, Rule], names: list[str]) -> str:
    """Return the first pattern that matches one of a parameter's names.

    Raises
    ------
    ValueError
        No rule matches.
    """
    for pattern in rules:
        if any(fnmatchcase(name, pattern) for name in names):
            return pattern
    raise ValueError(
        f"no rule of init matches parameter {names[0]}: a pattern must match the whole name, as "
        "those of fnmatch do; '*' matches all"
    )


def _apply_rules(rules: Mapping[str, Rule], names: Names, run: _Run) -> None:
    for name, parameter in names.parameters():
        pattern = _pattern(rules, names.names_of[name])
        rule = rules[pattern]
        run.enter(name)
        try:
            if callable(rule):
                rule(parameter)
            else:
                functions.constant_(parameter, rule)
        except Exception as error:
            error.add_note(f"This is the rule of {pattern!r}, for parameter {name}.")
            raise


def _has_other_processes() -> bool:
    distributed = torch.distributed
    return bool(
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def _check(model: Any, seed: Seed, init: Init | None) -> None:
    """Raise where a model cannot be initialized, before anything is changed."""
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, received {type_of(model)}")
    if seed is None and _has_other_processes():
        raise ValueError(
            "seed must be given where there are several processes: each would draw a different one"
        )
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        raise ValueError(
            "FullyShardedDataParallel keeps pieces of flat parameters, which have no names: "
            "initialize the model before it is wrapped, or use fully_shard"
        )
    model = unwrapped(model)
    for name, tensor in named_tensors(model):
        if torch.nn.parameter.is_lazy(tensor):
            raise ValueError(f"{plain_name(name)} has no shape yet: run the model once")
        if is_distributed(tensor):
            try:
                sharded_axes(tensor)
            except ValueError as error:
                raise ValueError(f"{plain_name(name)}: {error}") from None
    if init is None or (callable(init) and not isinstance(init, Mapping)):
        return
    if not isinstance(init, Mapping):
        raise TypeError(
            f"init must be a function of a module, a table of rules or None, received {shown(init)}"
        )
    for pattern, rule in init.items():
        if not isinstance(pattern, str):
            raise TypeError(f"the patterns of init must be strings, received {shown(pattern)}")
        if not callable(rule) and (isinstance(rule, bool) or not isinstance(rule, (int, float))):
            raise TypeError(
                f"the rule of {pattern!r} must be a function of a tensor or a number, "
                f"received {shown(rule)}"
            )
        if isinstance(rule, Initializer) or getattr(rule, "__module__", None) in _OF_ARRAYS:
            raise TypeError(
                f"the rule of {pattern!r} must fill a tensor in place, as the functions of "
                f"fastinit.torch.init do, received {shown(rule)}"
            )
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(plain_name(name))
    for some in sorted(map(sorted, names.values())):
        _pattern(init, some)
    for pattern in init:
        if not any(fnmatchcase(name, pattern) for some in names.values() for name in some):
            why = "matches no parameter of this model"
        elif "*" in list(init)[: list(init).index(pattern)]:
            why = "is never reached, as '*' comes before it"
        else:
            continue
        warnings.warn(f"the pattern {pattern!r} of init {why}", stacklevel=3)


def _make_memory(model: Any, device: Any) -> dict[str, Any]:
    """Give memory to the parameters and buffers on meta; return such buffers as they were."""
    on_meta = [name for name, tensor in named_tensors(model) if tensor.is_meta]
    if not on_meta:
        return {}
    buffers = {
        name: tensor
        for name, tensor in model.named_buffers(remove_duplicate=False)
        if tensor.is_meta
    }
    shared: dict[int, list[str]] = {}
    attributes = {}
    for name, tensor in named_tensors(model):
        shared.setdefault(id(tensor), []).append(name)
        attributes[name] = vars(tensor)

    def with_memory(tensor: Any) -> Any:
        if not tensor.is_meta:
            return tensor
        if is_distributed(tensor):
            return torch.empty_like(tensor, device=tensor.device_mesh.device_type)
        return torch.empty_like(tensor, device=device)

    with torch.no_grad():
        model._apply(with_memory)  # Module.to_empty would discard the values of the others, too
    for group in shared.values():
        first = group[0]
        made = _get(model, first)
        vars(made).update(attributes[first])
        for name in group[1:]:
            _set(model, name, made)
    return buffers


def _set(model: Any, name: str, tensor: Any) -> None:
    owner, _, own = name.rpartition(".")
    module = model.get_submodule(owner)
    (module._parameters if own in module._parameters else module._buffers)[own] = tensor


def _get(model: Any, name: str) -> Any:
    owner, _, own = name.rpartition(".")
    return getattr(model.get_submodule(owner), own)


def initialize(
    model: Model, seed: Seed = 0, init: Init | None = None, *, device: Any = None
) -> Model:
    """Initialize all parameters of a model, each by the seed and its name alone.

    The values are the same on one process and on any mesh, whatever the sizes, the order in which
    modules were made, and the other layers.  A model may be on ``meta`` or have memory; it may be
    whole, sharded by ``fully_shard``, by tensor parallelism or both, or a stage of a pipeline that
    holds only its own modules under the names of the whole model.  Each process makes its own part,
    but for what cannot be made in parts: see the Notes.

    Parameters
    ----------
    model : torch.nn.Module
        Tensors on ``meta`` get memory.  Do not call ``to_empty`` first, which also discards the
        buffers that the constructor computed.
    seed : int, SeedGenerator or numpy.random.Generator, optional
        An integer, 0 <= seed < 2**64.  A generator advances, and must be in the same state in all
        processes.  None, which is for one process only, draws fresh entropy.
    init : callable or mapping, optional
        A function of a module, which is applied to all modules, children first; or a table of rules
        such as ``{"*.bias": 0, "*": fastinit.torch.init.xavier_normal_}``.  The first pattern (see
        ``fnmatch.fnmatchcase``) that matches a parameter's name says what fills it: a function of
        the tensor, or a number.  By default the model's own methods run: the ``_init_weights`` of
        transformers' models; for others each module's ``reset_parameters``, and then the
        ``init_weights`` or ``_init_weights`` of the outermost module that has one.
    device : torch.device, optional
        Where memory is allocated: the CPU by default, and for a DTensor always the device of its
        mesh.

    Returns
    -------
    model
        Parameters that were on ``meta`` are new objects: construct the optimizer afterwards.

    Raises
    ------
    RuntimeError
        A parameter, or a buffer that had no memory, was not written; a view of a sharded parameter
        was written later than the function that made it; or a sharded parameter was replaced by
        one of another shape.  The message names it.
    ValueError, TypeError
        A rule for a parameter is missing, a parameter has no shape yet, is one of
        FullyShardedDataParallel or is to be summed over its mesh, the seed is None where there are
        several processes, the device is ``"meta"``, or an argument is of the wrong type.  Nothing
        is changed then.  What a rule or a method of the model raises is raised, and leaves the
        model in part initialized.

    Warns
    -----
    UserWarning
        A pattern matches no parameter, as one may on a stage of a pipeline, or comes after ``"*"``.

    Notes
    -----
    Draw 0 into a parameter has the seed ``derive_seed(seed, name)``, and draw n the seed
    ``derive_seed(derive_seed(seed, name), str(n))``.  A parameter or module that has several names
    goes by the first in alphabetical order; a rule applies if it matches any of them.  Names leave
    out the parts that torch.compile, activation checkpointing and DistributedDataParallel put into
    them.  Draws into other tensors are named after the module that is initialized,
    ``"layers.0.mixer()"``.  PyTorch's generator is left as it was; what it draws meanwhile, such as
    ``exponential_``, depends on the seed and the module's name.

    ``orthogonal_``, ``sparse_`` and ``dirac_`` make the whole tensor on each process.  An
    initialization that writes to views of a sharded parameter, or does arithmetic that is not
    elementwise, gets a copy of the rows that it names or of the whole tensor, on each process.

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):
    ...     model = torch.nn.Linear(3, 2)
    >>> initialize(model, seed=1)
    Linear(in_features=3, out_features=2, bias=True)
    """
    _check(model, seed, init)
    device = torch.device("cpu" if device is None else device)
    if device.type == "meta":
        raise ValueError("device must be one with memory, received meta")
    root = key(seed)
    target = unwrapped(model)
    _tie_all(target)
    buffers = _make_memory(target, device)
    names = Names(target, root)
    watch = Watch(names)
    run = _Run(target, names, watch)
    state = torch.get_rng_state()
    try:
        with torch.no_grad(), _with_memory(), watch:
            if init is None or (isinstance(init, Mapping) and buffers):
                run.own(target)
            if isinstance(init, Mapping):
                names.restart()
                _apply_rules(init, names, run)
            elif init is not None:
                run.each(target, init)
            run.enter("")
        _keep_sharded(target, names)
        _check_written(target, names, buffers)
    except BaseException:
        # On meta they are missed again, should initialize() be called again.
        for name, buffer in buffers.items():
            _set(target, name, buffer)
        raise
    finally:
        torch.set_rng_state(state)
    return model


def _with_memory() -> Any:
    """Return a context in which new tensors have memory, also within ``torch.device("meta")``."""
    return torch.device("cpu") if torch.get_default_device().type == "meta" else nullcontext()


def _keep_sharded(model: Any, names: Names) -> None:
    """Put the values of whole tensors that were assigned into the DTensors that they replaced."""
    if not names.sharded:
        return
    for name, tensor in list(named_tensors(model)):
        before = names.known(plain_name(name))
        if before is None or not is_distributed(before) or is_distributed(tensor):
            continue
        if tensor.shape != before.shape:
            raise RuntimeError(
                f"{plain_name(name)} is sharded and of shape {tuple(before.shape)}, and its module "
                f"has replaced it by one of shape {tuple(tensor.shape)}"
            )
        write_all(before, tensor)
        names.wrote(before)
        _set(model, name, before)


def _check_written(model: Any, names: Names, buffers: dict[str, Any]) -> None:
    """Raise if a parameter, or a buffer that was on meta, was not written."""
    made = {plain_name(name) for name in buffers}
    parameters = {plain_name(name) for name, _ in model.named_parameters(remove_duplicate=False)}
    unwritten = names.unwritten(model)
    advice = {
        "give its module a reset_parameters method, or pass an init that fills it in place": [
            name for name in unwritten if name in parameters
        ],
        "a buffer on meta has lost the values of its constructor: let reset_parameters make them, "
        "or construct the model with memory": [name for name in unwritten if name in made],
    }
    texts = []
    for what_to_do, missing in advice.items():
        if missing:
            more = f" and {len(missing) - 5} others" if len(missing) > 5 else ""
            texts.append(f"nothing has written {', '.join(missing[:5])}{more}: {what_to_do}")
    if texts:
        raise RuntimeError("; ".join(texts))
