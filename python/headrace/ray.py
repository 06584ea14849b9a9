"""Agents on a cluster of Ray: many tasks as a stage of Ray Data, and a server as a deployment of Ray Serve.

Needs the extra ``ray``: ``pip install "headrace[ray]"``. Agents are made in each worker by a function of yours, so that
no key and no connection travels.

Example:
    With Ray Data::

        import ray
        from headrace.ray import Stage

        tasks = ray.data.from_items([{"task": "Say hello."}])
        answers = tasks.map_batches(Stage, fn_constructor_args=[make_agent], concurrency=2, batch_size=256)

    With Ray Serve::

        from ray import serve
        from headrace.ray import deployment

        serve.run(deployment(make_agent, num_replicas=2).bind())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .agent import Agent

__all__ = ["Stage", "deployment"]


class Stage:
    """Runs the tasks of each batch of rows, for ``Dataset.map_batches``. One for each worker.

    Args:
        make_agent: Makes the agent, in the worker.
        task: The column of the tasks.
        output: The column that the answers are put into; values of a type (``output_type``) as plain values.
        error: The column of the errors' messages; None where there was none.
        concurrency: How many tasks of a worker run at a time.
        rate: How many may begin in a second, in a worker.

    Example:
        >>> from headrace.ray import Stage
        >>> stage = Stage(lambda: agent, concurrency=4)
        >>> rows = stage({"task": ["Greet me.", "Again."], "id": [1, 2]})
        >>> rows["answer"], rows["error"], rows["id"]
        (['Hello, world.', 'Hello, world.'], [None, None], [1, 2])
    """

    def __init__(
        self,
        make_agent: Callable[[], Agent],
        *,
        task: str = "task",
        output: str = "answer",
        error: str = "error",
        concurrency: int = 32,
        rate: float | None = None,
    ) -> None:
        self._agent = make_agent()
        self._task, self._output, self._error = task, output, error
        self._concurrency, self._rate = concurrency, rate

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The batch, with the columns of answers and errors.

        Args:
            batch: The columns.

        Raises:
            ConfigurationError: There is no column of tasks, or a task cannot work.
        """
        if self._task not in batch:
            raise ConfigurationError(f"the batch has no column {self._task!r}, but {', '.join(batch)}")
        tasks = [str(task) for task in batch[self._task]]
        results = list(self._agent.map(tasks, concurrency=self._concurrency, rate=self._rate))
        return {
            **batch,
            self._output: [result.to_dict()["output"] for result in results],
            self._error: [None if result.error is None else str(result.error) for result in results],
        }


def deployment(make: Callable[[], Any], *, asgi: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """A deployment of Ray Serve that speaks what :mod:`headrace.serve` speaks.

    Args:
        make: Makes what is served, in the replica: an agent, a workflow, or several by name.
        asgi: The options of :func:`headrace.serve.asgi`.
        **options: The options of ``serve.deployment``, such as ``num_replicas`` or ``ray_actor_options``.

    Returns:
        The deployment: ``serve.run(deployment(make).bind())``.

    Raises:
        ConfigurationError: Ray Serve is not installed.
    """
    try:
        serve: Any = import_module("ray.serve")
    except ImportError:
        raise ConfigurationError('Ray Serve is not installed: pip install "headrace[ray]"') from None
    given = dict(asgi or {})

    def application() -> Any:
        from headrace.serve import asgi as made

        return made(make(), **given)

    class Headrace:
        """One replica."""

    return serve.deployment(serve.ingress(application)(Headrace), **{"name": "headrace", **options})
