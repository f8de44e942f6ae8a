"""Whether a network is the one that was ordered: the check that keeps out a second network beside the first."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from badnets.models import ModelSpec, build

# What a module may carry that runs code beside its own forward pass.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_MOST = 10


def differences(model: nn.Module, ordered: ModelSpec) -> tuple[str, ...]:
    """In which points `model` is not the architecture that was ordered; none where it is.

    The paper's user fixes the architecture (section 2.2.1), so an attacker cannot add the side network of its Fig. 1b.
    Compared are the kinds of all modules, by name and with their settings, the names, shapes and dtypes of all
    tensors, and that nothing is hooked in. Code is not compared: a class that only calls itself by the ordered one's
    name is told apart, one that was changed in place is not; load weights into a network of your own making instead.

    Args:
        model: what came back.
        ordered: what it should be.

    Returns:
        One line for each difference, ten at most.

    Raises:
        InputError: there is no architecture of that name and shape.
    """
    found = list(_found(model, build(ordered)))
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return (*found[:_MOST], *more)


def _found(model: nn.Module, wanted: nn.Module) -> Iterator[str]:
    ours, theirs = dict(wanted.named_modules()), dict(model.named_modules())
    yield from _names("module", set(ours), set(theirs))
    for name in ours.keys() & theirs.keys():
        one, other = ours[name], theirs[name]
        where = name or "the network itself"
        if type(one) is not type(other):
            yield f"{where} is a {_kind(other)}, a {_kind(one)} was ordered"
        elif one.extra_repr() != other.extra_repr():
            yield f"{where} is {_kind(other)}({other.extra_repr()}), ({one.extra_repr()}) was ordered"
        if "forward" in vars(other):
            yield f"{where} has a forward pass of its own"
        yield from (f"{where} has {hooks.strip('_').replace('_', ' ')}" for hooks in _HOOKS if getattr(other, hooks))
    tensors, given = wanted.state_dict(), model.state_dict()
    yield from _names("tensor", set(tensors), set(given))
    for name in tensors.keys() & given.keys():
        if (tensors[name].shape, tensors[name].dtype) != (given[name].shape, given[name].dtype):
            expected, got = (f"{tuple(one[name].shape)} of {one[name].dtype}" for one in (tensors, given))
            yield f"tensor {name} is {got}, {expected} was ordered"


def _names(what: str, ordered: set[str], given: set[str]) -> Iterator[str]:
    yield from (f"{what} {name} was not ordered" for name in sorted(given - ordered))
    yield from (f"{what} {name} is missing" for name in sorted(ordered - given))


def _kind(module: nn.Module) -> str:
    """The full name of its class where it is none of torch's own."""
    kind = type(module)
    return kind.__name__ if kind.__module__.startswith("torch.") else f"{kind.__module__}.{kind.__qualname__}"
