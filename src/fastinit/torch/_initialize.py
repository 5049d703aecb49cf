"""Initialize a model by the names of its parameters, the same on any mesh."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from .._messages import shown, type_of
from .._seeds import derive_seed, key
from . import init as functions
from ._interception import Interception
from ._names import Names, named_tensors, plain_name, unwrapped
from ._shards import is_distributed
from ._tensors import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from .._typing import Seed

    Rule: TypeAlias = Callable[[Any], Any] | float
    Init: TypeAlias = Mapping[str, Rule] | Callable[[Any], Any]

Model = TypeVar("Model")

# The methods that write all elements of a tensor, or of the view that they are called on.
_OVERWRITING = {
    getattr(torch.Tensor, name)
    for name in (
        *("fill_", "zero_", "copy_", "normal_", "uniform_", "random_", "exponential_"),
        *("bernoulli_", "cauchy_", "geometric_", "log_normal_"),
    )
} | {torch.Tensor.data.__set__}


class _Watch(Interception):
    """Also hear of what is written to the model by other means than draws."""

    context: Names

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """See torch.overrides."""
        kwargs = kwargs or {}
        if func is torch.Tensor.copy_ and len(args) > 1 and _is_copy_to_shards(*args[:2]):
            with torch._C.DisableTorchFunction():
                write_whole(args[0], lambda shape, dtype: args[1])
            return args[0]
        draws = self.context.draws
        result = super().__torch_function__(func, types, args, kwargs)
        if draws == self.context.draws:  # a draw tells for itself
            with torch._C.DisableTorchFunction():
                if func in _OVERWRITING or getattr(func, "__name__", "") == "constant_":
                    self.context.wrote(args[0] if args else kwargs["tensor"])
                elif func is torch.Tensor.__setitem__:
                    self.context.wrote(args[0][args[1]])
                elif isinstance(kwargs.get("out"), torch.Tensor):
                    self.context.wrote(kwargs["out"])
        return result


def _is_copy_to_shards(to: Any, source: Any) -> bool:
    """Return whether a whole tensor is copied to a DTensor, which PyTorch refuses."""
    return (
        is_distributed(to)
        and isinstance(source, torch.Tensor)
        and not is_distributed(source)
        and source.shape == to.shape
    )


def _is_pretrained(module: Any) -> bool:
    """Return whether a module initializes all below it as the models of transformers do."""
    return hasattr(module, "initialize_weights") and hasattr(module, "_init_weights")


def _needs_nothing(method: Any) -> bool:
    """Return whether a method can be called without arguments."""
    return all(
        p.default is not Parameter.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in signature(method).parameters.values()
    )


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


class _Run:
    """One initialization of a model's modules."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def enter(self, name: str) -> None:
        """Say which module is initialized now.

        Numbers that stay PyTorch's, such as those of exponential_, are seeded by it, too.
        """
        self.names.module = plain_name(name)
        word = derive_seed(self.names.seed, f"{self.names.module}()")
        torch.default_generator.manual_seed(word)

    def each(self, module: Any, name: str, init: Callable[[Any], Any]) -> None:
        """Apply a function to all modules, children first, as torch.nn.Module.apply does."""
        for child_name, child in module.named_children():
            self.each(child, _joined(name, child_name), init)
        self.enter(name)
        init(module)

    def own(self, module: Any, name: str, inside: bool = False) -> None:
        """Do what the construction of a module does: its parts' defaults, then its own rules."""
        if _is_pretrained(module):
            self.pretrained(module, name)
            return
        weights = getattr(module, "init_weights", None)
        by_module = getattr(module, "_init_weights", None)
        has_rules = callable(weights) or callable(by_module)
        for child_name, child in module.named_children():
            self.own(child, _joined(name, child_name), inside or has_rules)
        self.enter(name)
        for method in ("reset_parameters", "_reset_parameters"):
            if callable(getattr(module, method, None)) and _needs_nothing(getattr(module, method)):
                getattr(module, method)()
                break
        if inside or not has_rules:
            return
        if callable(weights) and _needs_nothing(weights):
            weights()
        elif callable(by_module):
            self.each(module, name, by_module)

    def pretrained(self, model: Any, prefix: str) -> None:
        """Initialize a model of transformers anew, and tie its weights."""
        name_of = {id(module): name for name, module in model.named_modules()}
        wrapped = [module for module in model.modules() if _is_pretrained(module)]

        def entering(init_weights: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def call(module: Any) -> Any:
                self.enter(_joined(prefix, name_of.get(id(module), "")).rstrip("."))
                return init_weights(module)

            return call

        for module in model.modules():
            vars(module).pop("_is_hf_initialized", None)
        for _, tensor in named_tensors(model):
            vars(tensor).pop("_is_hf_initialized", None)
        for module in wrapped:
            vars(module)["_init_weights"] = entering(module._init_weights)
        try:
            model.initialize_weights()
        finally:
            for module in wrapped:
                del vars(module)["_init_weights"]
        if hasattr(model, "tie_weights"):
            model.tie_weights()


def _first_rule(rules: Mapping[str, Rule], name: str) -> Rule | None:
    return next((rule for pattern, rule in rules.items() if fnmatchcase(name, pattern)), None)


def _apply_rules(rules: Mapping[str, Rule], names: Names) -> None:
    for name, parameter in names.parameters():
        rule = _first_rule(rules, name)
        if callable(rule):
            rule(parameter)
        else:
            functions.constant_(parameter, rule)


def _check(model: Any, init: Init | None) -> None:
    """Raise where a model cannot be initialized, before anything is changed."""
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, received {type_of(model)}")
    for name, parameter in model.named_parameters():
        if torch.nn.parameter.is_lazy(parameter):
            raise ValueError(f"parameter {name} has no shape yet: run the model once before")
    if init is None or (callable(init) and not isinstance(init, Mapping)):
        return
    if not isinstance(init, Mapping):
        raise TypeError(
            "init must be a function of a module, a table of rules or None, "
            f"received {shown(init)}"
        )
    for pattern, rule in init.items():
        if not isinstance(pattern, str):
            raise TypeError(f"the patterns of init must be strings, received {shown(pattern)}")
        if not callable(rule) and (isinstance(rule, bool) or not isinstance(rule, (int, float))):
            raise TypeError(
                f"the rule of {pattern!r} must be a function of a tensor or a number, "
                f"received {shown(rule)}"
            )
    for name in sorted({plain_name(name) for name, _ in model.named_parameters()}):
        if _first_rule(init, name) is None:
            raise ValueError(f"no rule of init matches parameter {name}; '*' matches all")


def _make_memory(model: Any, device: Any) -> list[str]:
    """Give memory to the parameters and buffers on meta; return the names of such buffers."""
    on_meta = [name for name, tensor in named_tensors(model) if tensor.is_meta]
    if not on_meta:
        return []
    buffers = [name for name, tensor in model.named_buffers() if tensor.is_meta]
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
        return torch.empty_like(tensor, device="cpu" if device is None else device)

    with torch.no_grad():
        model._apply(with_memory)  # as Module.to_empty does, which would empty the others, too
    for group in shared.values():
        first = group[0]
        made = _get(model, first)
        vars(made).update(attributes[first])
        for name in group[1:]:
            owner, _, own = name.rpartition(".")
            module = model.get_submodule(owner)
            (module._parameters if own in module._parameters else module._buffers)[own] = made
    return buffers


def _get(model: Any, name: str) -> Any:
    owner, _, own = name.rpartition(".")
    return getattr(model.get_submodule(owner), own)


def initialize(
    model: Model, seed: Seed = 0, init: Init | None = None, *, device: Any = None
) -> Model:
    """Initialize all parameters of a model, each by the seed and its name alone.

    The values are the same on one process and on any mesh, whatever the sizes, the order in which
    modules were made, and what other layers there are.  A model may be on ``meta``, have memory, be
    whole, sharded by ``fully_shard``, by tensor parallelism or both, or be a stage of a pipeline
    that holds only its own modules under the names of the whole model.  Each process fills its own
    part and no other.

    Parameters
    ----------
    model : torch.nn.Module
        What has no memory gets some; do not call ``to_empty`` before, which makes garbage of
        buffers that the constructor computed.
    seed : int
        The seed of the model, 0 <= seed < 2**64.
    init : callable or mapping, optional
        A function of a module, which is applied to all of them, children first; or a table of rules
        such as ``{"*.bias": 0, "*": fastinit.torch.init.xavier_normal_}``.  The first pattern
        (as :func:`fnmatch.fnmatchcase` has them) that matches a parameter's name says what fills
        it: a function of the tensor, or a number.  By default the model's own: the
        ``_init_weights`` of transformers' models; for others each module's ``reset_parameters``,
        and then the ``init_weights`` or ``_init_weights`` of the outermost module that has one.
    device : torch.device, optional
        Where memory is made; the CPU by default, and for a DTensor the device of its mesh.

    Returns
    -------
    model

    Raises
    ------
    RuntimeError
        A parameter, or a buffer that had no memory, was not written; the message names it.
    ValueError, TypeError
        A rule for a parameter is missing, or an argument is of the wrong type.  Nothing is changed
        then.

    Notes
    -----
    Draw 0 into a parameter has the seed ``derive_seed(seed, name)``, and draw n the seed
    ``derive_seed(derive_seed(seed, name), str(n))``.  Parameters that share memory have the first of
    their names in alphabetical order.  Numbers that an initialization draws into other tensors are
    named by its module, ``"layers.0.mixer()"``.  PyTorch's generator is left as it was.

    Examples
    --------
    >>> import torch
    >>> with torch.device("meta"):
    ...     model = torch.nn.Linear(3, 2)
    >>> initialize(model, seed=1)
    Linear(in_features=3, out_features=2, bias=True)
    """
    _check(model, init)
    root = key(seed)
    target = unwrapped(model)
    buffers = _make_memory(target, device)
    names = Names(target, root)
    run = _Run(names)
    state = torch.get_rng_state()
    try:
        with torch.no_grad(), _Watch(names):
            if init is None or (isinstance(init, Mapping) and buffers):
                run.own(target, "")
            if isinstance(init, Mapping):
                names.restart()
                _apply_rules(init, names)
            elif init is not None:
                run.each(target, "", init)
    finally:
        torch.set_rng_state(state)
    _check_written(target, names, buffers)
    return model


def _check_written(model: Any, names: Names, buffers: list[str]) -> None:
    """Raise where memory was made that nothing has written."""
    made = {plain_name(name) for name in buffers}
    parameters = {plain_name(name) for name, _ in model.named_parameters(remove_duplicate=False)}
    missing = [name for name in names.unwritten(model) if name in parameters or name in made]
    if missing:
        more = f" and {len(missing) - 5} others" if len(missing) > 5 else ""
        raise RuntimeError(
            f"nothing has written {', '.join(missing[:5])}{more}: give the module a "
            "reset_parameters method, or pass init"
        )
