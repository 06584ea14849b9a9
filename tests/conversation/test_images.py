"""Tasks with images."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from headrace import ConfigurationError
from support.conversations import ADDS, add, conversation, sent
from support.harness import Reader, Simulate, agent_at, the_request

if TYPE_CHECKING:
    from pathlib import Path

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FORMATS = {
    "png": PNG,
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(20),
    "gif": b"GIF89a" + bytes(20),
    "webp": b"RIFF\x1a\x00\x00\x00WEBPVP8 " + bytes(20),
}


def uri(name: str) -> str:
    return f"data:image/{name};base64,{base64.b64encode(FORMATS[name]).decode()}"


def sent_images(simulate: Simulate, reader: Reader, **options: Any) -> list[str]:
    """The URLs of the images in a request. Checks that the text of the task is before them."""
    simulator = simulate()
    assert reader.read(agent_at(simulator), "What is it?", **options).error is None
    [message] = the_request(simulator)["body"]["messages"]
    text, *images = message["content"]
    assert (message["role"], text) == ("user", {"type": "text", "text": "What is it?"})
    assert {image["type"] for image in images} <= {"image_url"}
    return [image["image_url"]["url"] for image in images]


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_sent_as_a_data_uri_of_its_format(
    simulate: Simulate, reader: Reader, tmp_path: Path, name: str
) -> None:
    # The format follows from the bytes, not from the file's name.
    path = tmp_path / "picture.bin"
    path.write_bytes(FORMATS[name])
    assert sent_images(simulate, reader, img=str(path)) == [uri(name)]


@pytest.mark.parametrize("name", FORMATS)
def test_base64_text_is_sent_as_a_data_uri_of_its_format(simulate: Simulate, reader: Reader, name: str) -> None:
    assert sent_images(simulate, reader, img=base64.b64encode(FORMATS[name]).decode()) == [uri(name)]


@pytest.mark.parametrize("url", ["https://example.invalid/a.png", "http://example.invalid/a", uri("png")])
def test_urls_and_data_uris_are_sent_unchanged(simulate: Simulate, reader: Reader, url: str) -> None:
    assert sent_images(simulate, reader, img=url) == [url]


def test_several_images_keep_their_order(simulate: Simulate, reader: Reader) -> None:
    urls = [f"https://example.invalid/{number}.png" for number in range(3)]
    assert sent_images(simulate, reader, imgs=urls) == urls
    assert sent_images(simulate, reader, img=urls[0], imgs=urls[1:]) == urls


def test_without_images_the_content_is_only_the_task(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate()
    reader.read(agent_at(simulator), "What is it?", imgs=[])
    assert the_request(simulator)["body"]["messages"] == [{"role": "user", "content": "What is it?"}]


def test_later_turns_have_the_images_too(simulate: Simulate, reader: Reader) -> None:
    simulator = simulate(turns=conversation(ADDS, {"text": "42"}))
    reader.read(agent_at(simulator, tools=[add], max_loops=2), "Add.", img=uri("png"))
    assert sent(simulator, 1)[0] == sent(simulator, 0)[0]


def test_run_takes_images(simulate: Simulate) -> None:
    simulator = simulate()
    agent_at(simulator).run("What is it?", img=uri("png"), imgs=[uri("gif")])
    [message] = the_request(simulator)["body"]["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url", "image_url"]


def test_images_are_stored_in_the_memory(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    simulator = simulate()
    agent = agent_at(simulator, persistent_memory=True, memory_path=tmp_path / "memory.sqlite3")
    reader.read(agent, "What is it?", img=uri("png"))
    reader.read(agent, "And its colour?")
    assert sent(simulator)[0]["content"][1]["image_url"]["url"] == uri("png")


@pytest.mark.parametrize(
    "image",
    ["no/such/file.png", "missing.jpg", "", "plaintext", "\x00", "~nobody/a.png", base64.b64encode(b"text").decode()],
)
def test_a_text_that_is_not_an_image_is_refused_and_nothing_is_sent(
    simulate: Simulate, reader: Reader, image: str
) -> None:
    simulator = simulate()
    with pytest.raises(ConfigurationError):
        reader.start(agent_at(simulator), img=image)
    assert simulator.report()["requests"] == []


def test_the_error_for_a_file_that_is_not_an_image_has_its_name(
    simulate: Simulate, reader: Reader, tmp_path: Path
) -> None:
    path = tmp_path / ("deep" * 20) / "notes.txt"
    path.parent.mkdir()
    path.write_text("not an image")
    with pytest.raises(ConfigurationError, match=r"notes\.txt"):
        reader.start(agent_at(simulate()), img=str(path))


def test_the_error_for_a_long_text_that_is_not_an_image_shows_only_its_start(
    simulate: Simulate, reader: Reader
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        reader.start(agent_at(simulate()), img="?" * 100_000)
    assert len(str(caught.value)) < 300


def test_a_riff_file_that_is_not_webp_is_refused(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(20))
    with pytest.raises(ConfigurationError):
        reader.start(agent_at(simulate()), img=str(path))


def test_base64_text_may_have_line_breaks(simulate: Simulate, reader: Reader) -> None:
    assert sent_images(simulate, reader, img=base64.encodebytes(FORMATS["png"]).decode()) == [uri("png")]


def test_a_path_object_is_a_path(simulate: Simulate, reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(PNG)
    assert sent_images(simulate, reader, img=path) == [uri("png")]
