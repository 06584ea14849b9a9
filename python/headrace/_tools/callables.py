"""What Python knows of a callable: its name, its docstring, its parameters."""

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
    """The name that a callable goes by: its own, that of what a partial calls, or that of its class."""
    name = getattr(function, "__name__", None)
    if isinstance(name, str):
        return name
    if isinstance(function, functools.partial):
        return name_of(function.func)
    return type(function).__name__


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling this returns a coroutine at once, and so may be done on an event loop."""
    return inspect.iscoroutinefunction(_called(function))


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether calling this returns a generator, async or not."""
    called = _called(function)
    return inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, builtin or class that a call of this runs first."""
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
    """The function whose ``def`` the signature comes from, behind decorators that use functools.wraps."""
    called = _called(function)
    wrapped = getattr(called, "__wrapped__", None)
    return called if wrapped is None else written_function(wrapped)


def docstring_of(function: Callable[..., Any]) -> str | None:
    """The docstring of a function, or of what stands for one."""
    if isinstance(function, functools.partial):
        return docstring_of(function.func)
    if isinstance(function, type):
        # Not inspect.getdoc, which answers with a base class's.
        return function.__doc__
    if inspect.isroutine(function) or hasattr(function, "__wrapped__"):
        return inspect.getdoc(function)
    method = type(function).__call__
    return (method.__doc__ if inspect.isfunction(method) else None) or type(function).__doc__


def read_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """A docstring's description, without its sections, and the description of each parameter."""
    if not text:
        return "", {}
    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return inspect.cleandoc(text), {}
    described = {item.arg_name: item.description for item in parsed.params if item.description}
    return (parsed.description or "").strip(), described


def parameters_of(function: Callable[..., Any], name: str) -> dict[str, inspect.Parameter]:
    """The parameters that are the model's to fill, with annotations that are types and no longer text.

    Args:
        function: The callable.
        name: Its name, for errors.

    Returns:
        The parameters by name. What a partial was given is not among them.

    Raises:
        ConfigurationError: The signature is unknown, takes ``*args``, or an annotation cannot be evaluated.
    """
    hidden = bound_keywords(function)
    parameters: dict[str, inspect.Parameter] = {}
    for key, parameter in _signature(function, name).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise ConfigurationError(
                f"{name!r} cannot be a tool: a model gives arguments by name, so there is nothing for *{key}. "
                "Take a list instead"
            )
        if key not in hidden:
            parameters[key] = parameter.replace(annotation=_annotation(parameter, function, name))
    return parameters


def bound_keywords(function: object) -> Mapping[str, Any]:
    """What a partial was given by keyword. It stands in the signature as a default, but is not the model's business."""
    return function.keywords if isinstance(function, functools.partial) else {}


def _signature(function: Callable[..., Any], name: str) -> inspect.Signature:
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            # The annotations are evaluated here, each for itself: the result's may name what does not exist.
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
    # One parameter at a time: an error has a name, and the annotation of the result does not matter.
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return typing.get_type_hints(holder, *_namespaces(function), include_extras=True)[parameter.name]
    except Exception as error:
        raise ConfigurationError(
            f"{name!r} cannot be a tool: the annotation {parameter.annotation!r} of its parameter {parameter.name!r} "
            f"cannot be evaluated ({type(error).__name__}: {error}). A type that is imported under TYPE_CHECKING, or "
            "defined inside a function, cannot be found by its name"
        ) from error


def _namespaces(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The global and the local names that annotations of this function may use."""
    written = written_function(function)
    module = sys.modules.get(written.__module__)
    names = getattr(written, "__globals__", vars(module) if module else {})
    return names, {parameter.__name__: parameter for parameter in getattr(written, "__type_params__", ())}
