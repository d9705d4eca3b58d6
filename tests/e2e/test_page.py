"""The page at `/`, as a browser shows it. Left out, and said so, where there is no chromium (`tests/conftest.py`).

Screenshots of each view in four sizes go to the folder that FASTEMBED_SCREENSHOTS names, else to pytest's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from fastembed.inference.engines.speech.resample import Resampler
from tests.e2e.browser import Page, browsing, find_browser
from tests.e2e.cut_wire import CutWire, wire_to
from tests.e2e.serving import Serving, serving
from tests.integration.recordings import LIGHT, samples, wrong_words

pytestmark = pytest.mark.asyncio(loop_scope="module")

MICROPHONE_HZ = 48_000
QUIET = np.zeros(2 * MICROPHONE_HZ, np.float32)  # the page must be listening when the first word comes
PIPELINES = """
version: 1
pipelines:
  transcription:
    source: {websocket: /v1/realtime, sessions: 1, queue: 5s, overflow: drop_oldest}
    operators:
      - decode: {rate: 16000}
      - vad: {silence: 500ms}
      - transcribe: {model: whisper-pocket}
        order: none
        latest: not item.final
    sink: reply
  chat:
    source: {http: POST /v1/chat/completions, queue: 256, overflow: reject}
    operators: [read, {generate: {model: chat-pocket}}]
    sink: reply
  ask:
    source: {http: POST /v1/ask, queue: 64, overflow: reject}
    operators: [retrieve, prompt, {answer: {words: quoted}}]
    sink: reply
  papers:
    source: {folder: inbox, match: "**/*.{md,txt}", settle: 100ms}
    operators: [parse, {chunk: {tokens: 64, overlap: 8}}, {embed: {model: auto}}]
    sink: {duckdb: data/lake.duckdb, table: chunks}
"""
LEASE = """# Lease of the mill

## Term

The lease begins on the first of April and runs for nine years. The miller keeps the weir in repair.

## Rent

The rent is forty sacks of flour a year, due at Michaelmas.
"""
VIEWS = ("captions", "documents", "ask", "chat", "pipelines", "models")
SIZES = ((390, 844), (768, 1024), (1280, 800), (1920, 1080))
WAIT_S = 60
KEY = "mill-and-weir"


@dataclass
class Shown:
    """The page of a running server, over a wire that can be cut."""

    page: Page
    server: Serving
    wire: CutWire
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.wire.port}"

    async def go(self, view: str) -> None:
        await self.page.run(f"location.hash = '#{view}'")
        await self.until(f"!document.getElementById('view-{view}').hidden")

    async def until(self, condition: str) -> Any:
        """Wait until an expression is true on the page; return its value."""
        script = f"""new Promise((resolve, reject) => {{
          const ends = Date.now() + {1000 * WAIT_S};
          const look = () => {{
            const found = {condition};
            if (found) resolve(found);
            else if (Date.now() > ends) reject(new Error(document.querySelector("main").innerText));
            else setTimeout(look, 50);
          }};
          look();
        }})"""
        return await self.page.run(script)

    async def click(self, selector: str) -> None:
        await self.page.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def press(self, key: str) -> None:
        """Press a key where the focus is, and let it go."""
        code = {"Enter": 13, "Tab": 9}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        await self.page.ask("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        await self.page.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def drop(self, name: str, content: str) -> None:
        """Drop a file onto the view that is seen."""
        await self.page.run(f"""{{
          const transfer = new DataTransfer();
          transfer.items.add(new File([{json.dumps(content)}], {json.dumps(name)}));
          const target = document.querySelector("main > section:not([hidden])");
          for (const type of ["dragenter", "dragover", "drop"])
            target.dispatchEvent(new DragEvent(type, {{ dataTransfer: transfer, bubbles: true, cancelable: true }}));
        }}""")


def record(file: Path, name: str) -> None:
    """Write one of the tests' recordings as a microphone would hear it: between two silences."""
    resampler = Resampler(16_000, MICROPHONE_HZ)
    spoken = np.concatenate([QUIET, resampler.push(samples(name)), resampler.flush(), QUIET])
    with wave.open(str(file), "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(MICROPHONE_HZ)
        recording.writeframes((spoken * 32_767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "pipelines.yaml").write_text(PIPELINES)
    with serving(folder, "--api-key", KEY) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(server: Serving, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    program = find_browser()
    assert program is not None
    folder = tmp_path_factory.mktemp("browser")
    record(folder / "microphone.wav", "red-light.wav")
    async with (
        wire_to(int(server.url.rpartition(":")[2])) as wire,
        browsing(program, folder / "home", folder / "microphone.wav") as page,
    ):
        shown = Shown(page, server, wire, Path(server.log.name).parent)
        await page.open(shown.url)
        yield shown


async def words(shown: Shown, least: int = 1) -> list[str]:
    """Wait for so many final lines of captions; return them."""
    found = "[...document.querySelectorAll('#words p:not(.open):not(.cut)')].map((line) => line.textContent)"
    lines: list[str] = await shown.until(f"({found}).length >= {least} && {found}")
    return lines


async def chips(shown: Shown, place: str) -> list[str]:
    """Return what stands in the chips of a place."""
    found: list[str] = await shown.page.run(
        f"[...document.querySelectorAll({json.dumps(place + ' .chip')})].map((chip) => chip.textContent)"
    )
    return found


async def test_the_page_asks_for_the_key_until_it_is_right(shown: Shown) -> None:
    await shown.until("document.getElementById('lock').open")
    assert await shown.page.run("document.activeElement.id") == "key"
    await shown.page.run("document.getElementById('key').value = 'guess'")
    await shown.click("#lock-form button")
    await shown.until("document.getElementById('lock-problem').textContent.includes('does not know')")
    await shown.page.run(f"document.getElementById('key').value = {json.dumps(KEY)}")
    await shown.click("#lock-form button")
    await shown.until("!document.getElementById('lock').open && document.querySelector('nav a[aria-current]')")
    assert await shown.page.run("sessionStorage.getItem('fastembed-key')") == KEY
    assert await shown.page.run("document.cookie + localStorage.length") == "0"


async def test_the_views_are_those_that_the_pipelines_serve(shown: Shown) -> None:
    names = await shown.page.run("[...document.querySelectorAll('nav a:not([hidden])')].map((a) => a.hash.slice(1))")
    assert tuple(names) == VIEWS


async def test_the_words_said_into_a_browsers_microphone_appear_on_the_page(shown: Shown) -> None:
    await shown.go("captions")
    await shown.click("#speak")
    [line, *_] = await words(shown)
    # In real time on a busy machine the browser loses samples: the exact words are the integration tests' business.
    assert wrong_words(LIGHT, line) <= 1, line
    assert (
        await shown.page.run("document.getElementById('captions-model').innerText") == "whisper-pocket\npocket stand-in"
    )
    assert "to the final text" in await shown.page.run("document.getElementById('latency').textContent")


async def test_the_captions_go_on_after_the_network_was_cut(shown: Shown) -> None:
    await shown.until("['listening', 'hearing'].includes(document.getElementById('stage').dataset.state)")
    shown.wire.cut()
    await shown.until("document.getElementById('stage').dataset.state === 'waiting'")
    assert "connection was lost" in await shown.page.run("document.getElementById('state').textContent")
    shown.wire.mend()
    before = len(await words(shown, 0))
    assert wrong_words(LIGHT, (await words(shown, before + 1))[-1]) <= 1


async def test_stop_means_off(shown: Shown) -> None:
    await shown.click("#speak")
    await shown.until("document.getElementById('stage').dataset.state === 'off'")
    assert await shown.page.run("document.getElementById('speak').getAttribute('aria-pressed')") == "false"
    assert await shown.page.run("document.querySelectorAll('#words p.open').length") == 0
    assert await shown.page.run("document.getElementById('state').textContent") == "The microphone is off."


async def test_a_double_click_opens_no_second_microphone_and_leaves_none(shown: Shown) -> None:
    await shown.page.run("""{
      const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      window.microphones = [];
      navigator.mediaDevices.getUserMedia = async (...wanted) => {
        const media = await real(...wanted);
        microphones.push(media);
        return media;
      };
      for (let times = 0; times < 4; times += 1) document.getElementById("speak").click();
    }""")
    await shown.until("microphones.length === 2 && microphones.every((m) => m.getTracks()[0].readyState === 'ended')")
    assert await shown.page.run("document.getElementById('stage').dataset.state") == "off"


async def test_a_server_that_hears_as_many_as_it_can_is_said_to_be_busy_and_tried_again(shown: Shown) -> None:
    address = f"ws://{shown.server.url.partition('://')[2]}/v1/realtime?intent=transcription"
    async with connect(address, additional_headers={"authorization": f"Bearer {KEY}"}, proxy=None):
        await shown.click("#speak")
        await shown.until("document.getElementById('stage').dataset.state === 'waiting'")
        said = await shown.page.run("document.getElementById('state').textContent")
        assert said == "The server hears as many people as it can. Trying again."
    await shown.until("['listening', 'hearing'].includes(document.getElementById('stage').dataset.state)")
    await shown.click("#speak")
    await shown.until("document.getElementById('stage').dataset.state === 'off'")


async def test_a_dropped_file_is_read_found_and_shown_in_its_place(shown: Shown) -> None:
    await shown.go("documents")
    await shown.drop("lease of the mill.md", LEASE)
    row = "[data-file='lease of the mill.md'][data-state='done']"
    await shown.until(f'document.querySelector("{row}")')
    assert (shown.folder / "inbox" / "lease of the mill.md").read_text() == LEASE
    await shown.page.run("document.getElementById('query').value = 'forty sacks of flour'")
    await shown.click("#search button")
    await shown.until("document.querySelector('#hits .hit')")
    await shown.click("#hits .hit")
    await shown.until("document.querySelector('.passage .here')")
    marks = await shown.page.run("[...document.querySelectorAll('.passage mark')].map((mark) => mark.textContent)")
    assert {"forty", "sacks", "flour"} <= set(marks)
    path = await shown.page.run("document.querySelector('.passage .path').textContent")
    assert path == "Lease of the mill › Rent"


async def test_what_the_pipeline_does_not_take_is_refused_with_the_reason(shown: Shown) -> None:
    await shown.drop("song.xyz", "la la")
    said = await shown.until("document.querySelector('#uploads .problem')?.textContent")
    assert said == "song.xyz would not be read: .xyz files are not taken by the pipeline's `match`"
    assert not (shown.folder / "inbox" / "song.xyz").exists()
    await shown.click("#uploads button")


async def test_a_question_is_answered_with_its_source(shown: Shown) -> None:
    await shown.go("ask")
    await shown.page.run("document.getElementById('question').value = 'How many sacks of flour is the rent?'")
    await shown.click("#ask-go")
    answer = await shown.until("document.querySelector('#answer .sentence')?.textContent")
    assert "forty sacks of flour" in answer
    source = await shown.page.run("document.getElementById('source-1').textContent")
    assert source.startswith("lease of the mill.md")
    await shown.click("#answer .cite")
    assert await shown.page.run("document.activeElement.id") == "source-1"
    await shown.page.run("document.getElementById('passage').replaceChildren()")
    await shown.click("#source-1 button")
    place = await shown.until("document.querySelector('.passage:not([hidden]) .here')?.textContent")
    assert "forty sacks of flour" in place
    marks = await shown.page.run(
        "[...document.querySelectorAll('#hits li:first-child mark')].map((m) => m.textContent)"
    )
    assert {"rent", "forty", "Michaelmas"} <= set(marks)
    assert not {"The", "of", "a"} & set(marks)


async def test_a_chat_is_answered_in_a_stream_by_a_model_that_is_named(shown: Shown) -> None:
    await shown.go("chat")
    await shown.page.run("document.getElementById('message').focus()")
    await shown.page.ask("Input.insertText", text="what is 3 + 4?")
    await shown.press("Enter")
    await shown.until("document.querySelector('.assistant .text')?.textContent.includes('7')")
    await shown.until("document.getElementById('send').textContent === 'Send'")
    assert (
        await shown.page.run("document.querySelector('.assistant .chips').innerText") == "chat-pocket\npocket stand-in"
    )


async def test_a_file_that_is_dropped_on_the_chat_goes_with_the_message(shown: Shown) -> None:
    await shown.click("#chat-new")
    await shown.drop("sum.txt", "what is 2 + 6?")
    await shown.until("document.querySelector('#attached .name')?.textContent === 'sum.txt'")
    await shown.click("#send")
    await shown.until("document.querySelector('.assistant .text')?.textContent.trim()")
    await shown.until("document.getElementById('send').textContent === 'Send'")
    assert await chips(shown, ".user") == ["sum.txt"]
    assert await shown.page.run("document.getElementById('chat-state').textContent") == ""


async def test_the_pipelines_are_drawn_with_their_steps(shown: Shown) -> None:
    await shown.go("pipelines")
    flow = "[...document.querySelectorAll('[data-pipeline=papers] .node b')].map((step) => step.textContent)"
    steps = await shown.until(f"({flow}).length && {flow}")
    assert [steps[0], steps[-1]] == ["folder", "duckdb"]
    assert "parse" in " ".join(steps)


async def test_a_model_is_unloaded_and_loaded_again(shown: Shown) -> None:
    await shown.go("models")
    model = "[data-model='all-MiniLM-L6-v2']"
    await shown.until(f"document.querySelector(\"{model} [data-act='unload']\")")
    await shown.click(f"{model} [data-act='unload']")
    await shown.until(f"document.querySelector(\"{model} [data-act='load']:not([disabled])\")")
    await shown.click(f"{model} [data-act='load']")
    await shown.until(f"document.querySelector(\"{model} [data-act='unload']\")")


async def test_no_view_scrolls_sideways_in_any_size(shown: Shown, tmp_path: Path) -> None:
    target = Path(os.environ.get("FASTEMBED_SCREENSHOTS") or tmp_path)
    await asyncio.to_thread(target.mkdir, parents=True, exist_ok=True)
    wide = []
    for view in VIEWS:
        await shown.go(view)
        for at, (width, height) in enumerate(SIZES):
            await shown.page.shape(width, height, dark=at % 2 == 1)
            await asyncio.sleep(0.05)
            await shown.page.screenshot(target / f"{view}-{width}.png")
            if await shown.page.run("document.documentElement.scrollWidth > innerWidth"):
                wide.append((view, width))
    await shown.page.shape(1280, 800)
    assert wide == []


async def test_every_control_has_a_name_for_screen_readers(shown: Shown) -> None:
    nameless = []
    for view in VIEWS:
        await shown.go(view)
        tree = await shown.page.ask("Accessibility.getFullAXTree")
        for node in tree["nodes"]:
            role = node.get("role", {}).get("value")
            if role in ("button", "link", "textbox", "searchbox", "combobox", "list", "region", "progressbar"):
                name = node.get("name", {}).get("value", "")
                if not name and role not in ("list", "region") and not node.get("ignored"):
                    nameless.append((view, role))
    assert nameless == []


async def test_the_keyboard_reaches_every_control_in_the_order_of_the_page(shown: Shown) -> None:
    await shown.go("documents")
    await shown.page.run("document.querySelector('.skip').focus()")
    seen = []
    for _ in range(14):
        await shown.press("Tab")
        seen.append(await shown.page.run("document.activeElement.id || document.activeElement.hash || ''"))
    assert seen[: len(VIEWS)] == [f"#{view}" for view in VIEWS]
    assert [name for name in seen if name in ("query", "passage", "pick")] == ["query", "pick"]


CONTRAST = """
(() => {
  const luminance = (color) => {
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(document.documentElement);
  const pairs = [];
  for (const [front, backs] of Object.entries(FRONTS))
    for (const back of backs) {
      const [one, other] = [front, back].map((name) => luminance(style.getPropertyValue(`--${name}`)));
      pairs.push([front, back, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)]);
    }
  return pairs.filter(([, , ratio]) => ratio < 4.5);
})()
"""
FRONTS = {
    "text": ["back", "surface", "sunken", "tint", "mark", "bad-tint"],
    "soft": ["back", "surface", "sunken"],
    "accent": ["back", "surface", "tint"],
    "on-accent": ["accent"],
    "live": ["back", "surface", "bad-tint"],
    "warn": ["surface", "warn-tint"],
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_has_the_contrast_of_wcag_aa(shown: Shown, scheme: str) -> None:
    await shown.page.shape(1280, 800, dark=scheme == "dark")
    assert await shown.page.run(CONTRAST.replace("FRONTS", json.dumps(FRONTS))) == []


async def test_the_page_asked_nobody_else_and_broke_none_of_its_rules(shown: Shown) -> None:
    foreign = [url for url in shown.page.requests if not url.startswith((shown.url, "data:", "blob:"))]
    assert foreign == []
    assert shown.page.complaints == []


STATES = """
import("/page/captions-states.js").then(({ OFF, step }) => {
  const orders = [];
  let state = OFF;
  for (const event of EVENTS) {
    const [next, found] = step(state, event);
    state = next;
    orders.push(...found.map((order) => (Array.isArray(order) ? order[0] : order)));
  }
  return [state.name, state.problem, orders];
})
"""
LISTENING: list[dict[str, Any]] = [{"type": "press"}, {"type": "granted", "turn": 1}, {"type": "opened", "turn": 1}]
OPENED = ["open_microphone", "keep_microphone", "connect"]
LOST = {"type": "lost", "why": "network", "turn": 1}


@pytest.mark.parametrize(
    ("events", "name", "problem", "orders"),
    [
        (LISTENING, "listening", "", OPENED),
        ([{"type": "press"}, {"type": "press"}], "off", "", ["open_microphone", "close_microphone", "close_socket"]),
        # The permission that comes after Stop: the microphone is let go.
        (
            [{"type": "press"}, {"type": "press"}, {"type": "granted", "turn": 1}],
            "off",
            "",
            ["open_microphone", "close_microphone", "close_socket", "release"],
        ),
        # Stop and Start again: only the second permission counts, whichever comes first.
        (
            [*[{"type": "press"}] * 3, {"type": "granted", "turn": 1}, {"type": "granted", "turn": 2}],
            "connecting",
            "",
            [
                "open_microphone",
                "close_microphone",
                "close_socket",
                "open_microphone",
                "release",
                "keep_microphone",
                "connect",
            ],
        ),
        (
            [{"type": "press"}, {"type": "refused", "reason": "NotAllowedError", "turn": 1}],
            "off",
            "The browser does not let this page use the microphone. Allow it beside the address, then press Start.",
            ["open_microphone"],
        ),
        (
            [{"type": "press"}, {"type": "refused", "reason": "NotFoundError", "turn": 1}],
            "off",
            "No microphone was found. Connect one, then press Start.",
            ["open_microphone"],
        ),
        (
            [*LISTENING, {"type": "lost", "why": "busy", "turn": 1}],
            "waiting",
            "The server hears as many people as it can. Trying again.",
            [*OPENED, "close_socket", "retry_in"],
        ),
        (
            [*LISTENING, LOST, {"type": "retry", "turn": 1}],
            "connecting",
            None,
            [*OPENED, "close_socket", "retry_in", "connect"],
        ),
        ([*LISTENING, LOST, {"type": "retry", "turn": 1}, {"type": "opened", "turn": 1}], "listening", "", None),
        # A retry that was due when Stop was pressed.
        (
            [*LISTENING, LOST, {"type": "press"}, {"type": "retry", "turn": 1}],
            "off",
            "",
            [*OPENED, "close_socket", "retry_in", "close_microphone", "close_socket"],
        ),
        (
            [*LISTENING, *[LOST, {"type": "retry", "turn": 1}] * 10, LOST],
            "off",
            "The server could not be reached again. The microphone is off.",
            None,
        ),
        (
            [*LISTENING, {"type": "lost", "why": "key", "turn": 1}],
            "off",
            "The server wants an API key.",
            [*OPENED, "close_microphone", "close_socket"],
        ),
        (
            [
                *LISTENING,
                {"type": "speech_started", "turn": 1},
                {"type": "press"},
                {"type": "speech_started", "turn": 1},
            ],
            "finishing",
            "",
            [*OPENED, "close_microphone", "finish"],
        ),
        (
            [*LISTENING, {"type": "press"}, {"type": "settled", "turn": 1}],
            "off",
            "",
            [*OPENED, "close_microphone", "finish", "close_socket"],
        ),
        # Start while the last words are waited for: a new turn, and the old one's end changes nothing.
        (
            [*LISTENING, {"type": "press"}, {"type": "press"}, {"type": "settled", "turn": 1}],
            "asking",
            "",
            [*OPENED, "close_microphone", "finish", "close_socket", "open_microphone"],
        ),
        (
            [*LISTENING, {"type": "unplugged", "turn": 1}],
            "off",
            "The microphone was unplugged, or the browser took it away.",
            [*OPENED, "close_microphone", "close_socket"],
        ),
    ],
)
async def test_the_states_of_the_captions(
    shown: Shown, events: list[dict[str, Any]], name: str, problem: str | None, orders: list[str] | None
) -> None:
    found = await shown.page.run(STATES.replace("EVENTS", json.dumps(events)))
    assert found[0] == name
    assert problem is None or found[1] == problem
    assert orders is None or found[2] == orders


async def test_a_chat_sends_nothing_twice_and_a_late_word_changes_nothing(shown: Shown) -> None:
    events = [
        {"type": "send"},
        {"type": "send"},
        {"type": "stop"},
        {"type": "word", "turn": 1},
        {"type": "end", "turn": 1},
    ]
    script = (
        STATES.replace("captions-states", "chat-states").replace("OFF", "IDLE").replace("EVENTS", json.dumps(events))
    )
    assert await shown.page.run(script) == ["idle", "", ["request", "abort"]]


async def test_subtitles_are_cut_between_words_and_numbered(shown: Shown) -> None:
    words = [{"word": f"word{at}", "start": at, "end": at + 0.9} for at in range(8)]
    lines = [
        {"text": "Good morning.", "start_s": 61.5, "end_s": 63.25, "words": []},
        {"text": " ".join(word["word"] for word in words), "start_s": 0, "end_s": 8, "words": words},
    ]
    srt = await shown.page.run(f'import("/page/subtitles.js").then(({{ toSrt }}) => toSrt({json.dumps(lines)}))')
    assert srt.split("\n\n") == [
        "1\n00:01:01,500 --> 00:01:03,250\nGood morning.",
        "2\n00:00:00,000 --> 00:00:05,900\nword0 word1 word2 word3 word4 word5",
        "3\n00:00:06,000 --> 00:00:07,900\nword6 word7\n",
    ]
