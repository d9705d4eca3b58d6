"""What a request is said to contain: modalities, tokens, difficulty, code."""

import time
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.serving.routing.analysis import (
    ContentProfile,
    Preferences,
    count_tokens,
    of_speech,
    of_texts,
    preferences,
    profile,
    requirements,
)
from fastembed.pipeline.payload.audio import SpeechSettings, Utterance
from fastembed.pipeline.payload.chat import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    ImagePart,
    Message,
    Sampling,
    TextPart,
    Tool,
    ToolCall,
    VideoPart,
)
from fastembed.pipeline.payload.document import Document, File
from fastembed.pipeline.payload.embedding import EmbeddingRequest
from tests.unit.inference.serving.routing.asking import ask

PICTURE = ImagePart(np.zeros((2, 2, 3), np.uint8))
SOUND = AudioPart(np.zeros(16_000, np.float32))
FILM = VideoPart(np.zeros((4, 2, 2, 3), np.uint8), (0.0, 1.0, 2.0, 3.0))


def signals(request):
    return {signal.name: signal.value for signal in profile(request).signals}


def test_a_greeting_is_text_without_any_sign_of_difficulty():
    found = profile(ask("hello"))
    assert (found.task, found.modalities, found.complexity, found.signals) == ("chat", ("text",), 0.0, ())
    assert requirements(found).reasoning == "simple"


def test_complexity_is_the_sum_of_its_signals():
    found = profile(ask("Why? Explain step by step: 1 + 1 = 2?", json={"type": "object"}))
    assert found.complexity == pytest.approx(sum(signal.value for signal in found.signals))
    assert {signal.name for signal in found.signals} == {"reasoning", "maths", "schema", "questions"}


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("word " * 820, "length", 0.15),
        ("Who? What? When? Where?", "questions", 0.1),
        ("why", "reasoning", 0.15),
        ("derive it", "reasoning", 0.3),
        ("prove and derive and deduce", "reasoning", 0.45),
        ("the integral of a polynomial", "maths", 0.133),
        ("2 + 2", "maths", 0.067),
        ("1. this\n2. that\n3. those", "steps", 0.075),
        ("x:\n```\nls\n```", "code", 0.1),
    ],
)
def test_each_signal_has_its_weight(text, name, value):
    assert signals(ask(text))[name] == value


def test_turns_tools_media_and_effort_are_signals_too():
    before = [("user", "a"), ("assistant", "b")] * 7
    assert signals(ask("c", *before)) == {"turns": 0.05}
    assert signals(ask("c", tools=(Tool("a"), Tool("b")))) == {"tools": 0.05}
    assert signals(ask("c", tools=(Tool("a"),), tool_choice="none")) == {}
    assert signals(ChatRequest((Message("user", (PICTURE,) * 4),))) == {"media": 0.1}
    assert signals(ask("c", reasoning_effort="high")) == {"effort": 0.5}
    assert profile(ask("why", reasoning_effort="low")).complexity == 0.0


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        ("What is the capital of France?", "simple"),
        ("Why is the sky blue?", "simple"),
        ("Warum ist der Himmel blau?", "simple"),
        ("Pourquoi le ciel est-il bleu ?", "simple"),
        ("天空为什么是蓝色的？", "simple"),
        ("Explain why the sky is blue, and compare it with the red of sunsets.", "moderate"),
        ("Erkläre, warum der Himmel blau ist, und vergleiche es mit dem Abendrot.", "moderate"),
        ("Compare los dos planes y explica las consecuencias.", "moderate"),
        ("Prove that √2 is irrational, step by step.", "complex"),
        ("Beweise Schritt für Schritt, dass es unendlich viele Primzahlen gibt.", "complex"),
        ("Démontrez étape par étape que √2 est irrationnel.", "complex"),
        ("Demuestra paso a paso que √2 es irracional.", "complex"),
        ("请证明根号二是无理数，一步一步推导。", "complex"),
    ],
)
def test_difficulty_is_told_in_five_languages(text, reasoning):
    assert requirements(profile(ask(text))).reasoning == reasoning


@pytest.mark.parametrize(
    "text",
    [
        "Write a Python function that reverses a list",
        "Fix this bug in my C++ code",
        "Implement quicksort",
        "Schreibe eine Funktion in Rust, die eine Liste sortiert",
        "Écris une fonction en Java qui trie une liste",
        "Escribe una función en Go que ordene una lista",
        "写一个函数来反转数组",
        "what does this do?\n```\nx = 1\n```",
        "def f(x):\n    return x",
        "select the rows:\nSELECT name FROM users",
    ],
)
def test_code_is_noticed(text):
    assert profile(ask(text)).code


@pytest.mark.parametrize(
    "text",
    [
        "Write a poem about java coffee",
        "Tell me about python snakes",
        "The rust on my car: how do I remove it?",
        "What is the dress code?",
        "Let me know when class starts",
        "Liste die Planeten auf",
        "我想去中国旅行",
    ],
)
def test_what_only_sounds_like_code_is_none(text):
    assert not profile(ask(text)).code


def test_a_question_about_code_shown_before_is_about_code():
    shown = ("assistant", "```python\nprint(1)\n```")
    assert profile(ask("Is there a bug?", shown)).code
    assert not profile(ask("Thanks!", shown)).code


def test_tokens_are_a_quarter_of_the_bytes():
    assert [count_tokens(text) for text in ("", "four", "fiver", "ä" * 4, "证明" * 2)] == [1, 1, 2, 2, 3]


def test_everything_in_a_prompt_counts():
    words = profile(ask("a" * 400)).estimated_tokens
    assert words == 104
    assert profile(ask("a" * 400, ("user", "b" * 400), ("assistant", "c" * 400))).estimated_tokens == 3 * words
    seen = ChatRequest((Message("user", (TextPart("a" * 400), PICTURE, PICTURE, FILM, SOUND)),))
    assert profile(seen).estimated_tokens == words + 6 * 260 + 4
    tools = (Tool("search", "x" * 100, {"type": "object"}),)
    assert profile(ask("a" * 400, tools=tools)).estimated_tokens > words + 30
    called = Message("assistant", tool_calls=(ToolCall("1", "search", "y" * 400),))
    assert profile(ChatRequest((called,))).estimated_tokens > 100


def test_pictures_sounds_and_films_are_modalities_and_needs():
    found = profile(ChatRequest((Message("user", (TextPart("look"), PICTURE, SOUND, FILM)),)))
    assert found.modalities == ("text", "image", "audio", "video")
    assert (found.resources.pictures, found.resources.audio_s) == (5, 1.0)
    needs = requirements(found)
    assert (needs.vision, needs.audio, needs.video, needs.document) == (True, True, True, False)
    assert needs.picture_tokens == 5 * 260


def test_a_text_to_complete_is_its_own_question():
    found = profile(ChatRequest(prompt="def f(x):\n", sampling=Sampling(max_tokens=7), count=2))
    assert (found.code, found.estimated_tokens, found.resources.answer_tokens) == (True, 3, 14)


def test_tools_schema_and_logprobs_are_required():
    needs = requirements(profile(ask("hi", tools=(Tool("a"),), json={}, sampling=Sampling(logprobs=True))))
    assert (needs.tools, needs.schema, needs.logprobs) == (True, True, True)


def test_texts_to_embed_are_measured():
    found = profile(EmbeddingRequest(["a" * 40, [1, 2, 3]]))
    assert (found.task, found.estimated_tokens, found.resources.inputs) == ("embedding", 13, 2)
    assert of_texts("rerank", ["a"]).task == "rerank"


def test_speech_is_measured_in_seconds():
    samples = np.zeros(32_000, np.float32)
    spoken = Utterance("u", samples, 0, 2000, final=True, settings=SpeechSettings(model="whisper-base"))
    found = profile(spoken)
    assert (found.task, found.modalities, found.resources.audio_s) == ("transcription", ("audio",), 2.0)
    assert found == of_speech(2.0)
    assert requirements(found).audio
    assert preferences(spoken) == Preferences("whisper-base")


def test_documents_are_measured_in_pages():
    file = File(Path("/a.pdf"), "a.pdf", "0" * 64, 150_000, 0)
    assert profile(file).resources.pages == 3
    assert profile(Document(file, "t", "", "{}", (), 12, "pdf")).resources.pages == 12
    needs = requirements(profile(file))
    assert (needs.task, needs.document, needs.vision) == ("document", True, False)
    assert preferences(file) == Preferences()


def test_preferences_are_the_requests_own():
    request = ask("hi", model="m", modality_routing="force_text", npu_priority="high", model_fallback=True)
    assert preferences(request) == Preferences("m", "force_text", "high", model_fallback=True)
    assert preferences(EmbeddingRequest(["a"], model="e")) == Preferences("e")


@pytest.mark.parametrize("piece", ["a ", "\n", "```", "证明", "- ", "0123", "SELECT ", "def f", "1+", "\t", "?"])
def test_a_megabyte_of_anything_takes_milliseconds(piece):
    request = ask(piece * (1_000_000 // len(piece.encode())))
    began = time.thread_time()
    assert isinstance(profile(request), ContentProfile)
    assert time.thread_time() - began < 0.1


def test_only_the_ends_of_a_long_question_are_read():
    middle = "x" * 5000 + " prove " + "y" * 5000
    assert "reasoning" not in signals(ask(middle))
    assert signals(ask("x" * 10_000 + " prove it"))["reasoning"] == 0.3


def test_a_document_in_a_chat_is_measured_by_its_pages():
    request = ChatRequest((Message("user", (TextPart("what is it?"), DocumentPart(bytes(130_000), "a.pdf"))),))
    found = profile(request)
    assert (found.task, found.modalities, found.resources.pages) == ("chat", ("text", "document"), 3)
    assert 2_100 < found.estimated_tokens < 2_120
    needs = requirements(found)
    assert (needs.document, needs.vision) == (True, False)


def test_the_text_of_a_file_counts_as_text_but_is_not_what_is_asked():
    text = "Prove it. Derive it. Why? " * 100
    alone = profile(ask("summarise this"))
    found = profile(ChatRequest((Message("user", (TextPart.of_file("a.txt", text), TextPart("summarise this"))),)))
    assert found.signals == alone.signals
    assert found.estimated_tokens > alone.estimated_tokens + 600
    assert found.modalities == ("text",)
