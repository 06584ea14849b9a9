"""Reads the name, docstring and parameters of a callable."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import docstring_parser

from headrace.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "bound_keywords",
    "docstring_of",
    "is_async",
    "is_generator",
    "name_of",
    "parameters_of",
    "read_docstring",
    "written_function",
]


def name_of(function: Callable[..., Any]) -> str:
    """The name of a callable: its ``__name__``, the name of the function in a partial, or the name of its class."""
    name = getattr(function, "__name__", None)
    if isinstance(name, str):
        return name
    if isinstance(function, functools.partial):
        return name_of(function.func)
    return type(function).__name__


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it only makes a coroutine, so that it may be called in an event loop's thread."""
    return inspect.iscoroutinefunction(_called(function))


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether calling it returns a generator or an async generator."""
    called = _called(function)
    return inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, builtin or class that a call of the callable runs first."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isroutine(function) or isinstance(function, type) or hasattr(function, "__wrapped__"):
            return function
        else:
            method = type(function).__call__
            if not inspect.isfunction(method):
                return function
            function = method


def written_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function whose ``def`` has the signature, behind decorators that use functools.wraps."""
    called = _called(function)
    wrapped = getattr(called, "__wrapped__", None)
    return called if wrapped is None else written_function(wrapped)


def docstring_of(function: Callable[..., Any]) -> str | None:
    """The docstring of a callable: of the function in a partial, of a class, of ``__call__`` or of its class."""
    if isinstance(function, functools.partial):
        return docstring_of(function.func)
    if isinstance(function, type):
        # inspect.getdoc would return the docstring of a base class.
        return function.__doc__
    if inspect.isroutine(function) or hasattr(function, "__wrapped__"):
        return inspect.getdoc(function)
    method = type(function).__call__
    return (method.__doc__ if inspect.isfunction(method) else None) or type(function).__doc__


def read_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """Splits a docstring: its description without the sections, and the description of each parameter."""
    if not text:
        return "", {}
    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return inspect.cleandoc(text), {}
    described = {item.arg_name: item.description for item in parsed.params if item.description}
    return (parsed.description or "").strip(), described


def parameters_of(function: Callable[..., Any], name: str) -> dict[str, inspect.Parameter]:
    """The parameters that the model fills in, with their annotations evaluated.

    Args:
        function: The callable.
        name: Its name, for error messages.

    Returns:
        The parameters by name, without those that a partial has filled in.

    Raises:
        ConfigurationError: The signature is unknown, takes ``*args``, or an annotation cannot be evaluated.
    """
    hidden = bound_keywords(function)
    parameters: dict[str, inspect.Parameter] = {}
    signature = _signature(function, name).parameters
    _check_bound(function, [key for key in signature if key not in hidden], name)
    for key, parameter in signature.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise ConfigurationError(
                f"{name!r} cannot be a tool: a model passes arguments by name, so it cannot fill *{key}. "
                "Take a list instead"
            )
        if key not in hidden:
            parameters[key] = parameter.replace(annotation=_annotation(parameter, function, name))
    return parameters


def _check_bound(function: Callable[..., Any], given_by_model: list[str], name: str) -> None:
    """Raises ``ConfigurationError`` for a method without its object, which the model would have to fill in."""
    if given_by_model[:1] not in (["self"], ["cls"]):
        return
    written = written_function(function)
    of, _, method = getattr(written, "__qualname__", "").rpartition(".")
    # A function that is defined in another one has ``<locals>`` in front of its name, a method the name of its class.
    if of and not of.endswith("<locals>") and not hasattr(written, "__self__"):
        kind = of.rpartition(".")[2]
        raise ConfigurationError(
            f"{name!r} cannot be a tool: it is a method of {kind} without an object, and a model cannot fill in "
            f"{given_by_model[0]!r}. Give the method of an object, as in {kind}().{method}"
        )


def bound_keywords(function: object) -> Mapping[str, Any]:
    """The keyword arguments of a partial. The signature has them as defaults; they are hidden from the model."""
    return function.keywords if isinstance(function, functools.partial) else {}


def _signature(function: Callable[..., Any], name: str) -> inspect.Signature:
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            # Do not evaluate the annotations yet: that of the result may use a name that does not exist, and only those
            # of the parameters are needed. `_annotation` evaluates them.
            return inspect.signature(function, annotation_format=Format.FORWARDREF)
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{name!r} cannot be a tool: its signature is unknown to Python ({error}). "
            "Wrap it in a function with annotated parameters"
        ) from error


def _annotation(parameter: inspect.Parameter, function: Callable[..., Any], name: str) -> Any:
    if parameter.annotation is parameter.empty:
        return Any
    # One parameter at a time, so that an error message can name it.
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return typing.get_type_hints(holder, *_namespaces(function), include_extras=True)[parameter.name]
    except Exception as error:
        raise ConfigurationError(
            f"{name!r} cannot be a tool: the annotation {parameter.annotation!r} of its parameter {parameter.name!r} "
            f"cannot be evaluated ({type(error).__name__}: {error}). Types that are imported under TYPE_CHECKING, or "
            "defined inside a function, are not found: import or define the type at the top of the module"
        ) from error


def _namespaces(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The global and the local names that the annotations of a function may use."""
    written = written_function(function)
    module = sys.modules.get(written.__module__)
    names = getattr(written, "__globals__", vars(module) if module else {})
    return names, {parameter.__name__: parameter for parameter in getattr(written, "__type_params__", ())}
