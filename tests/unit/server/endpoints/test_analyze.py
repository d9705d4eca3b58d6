"""The wire of POST /v1/multimodal/analyze: what is asked of the chat, what is refused, and what comes back."""

from __future__ import annotations

import base64
import io
import json

import pytest
from PIL import Image

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatStarted, ImagePart, TextPart
from fastembed.server.endpoints.analyze import AnalysisAnswer, AnalysisOptions, decode
from tests.unit.server.strict import strict


def picture() -> str:
    out = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


SEEN = {"type": "image", "source": "base64", "content": picture()}
ASKED = {"type": "text", "text": "What is this?"}


async def test_pictures_and_texts_become_one_turn_of_a_chat():
    request, asked = await decode(strict({"inputs": [SEEN, ASKED], "model": "m", "model_fallback": True}))
    (turn,) = request.messages
    assert [type(part) for part in turn.parts] == [ImagePart, TextPart]
    assert (turn.role, turn.text, request.model, request.model_fallback) == ("user", "What is this?", "m", True)
    assert (request.json, request.sampling.temperature) == (None, 0)
    assert asked == AnalysisOptions(("image", "text"), "comprehensive", ())


async def test_without_a_question_one_is_asked():
    request, _ = await decode(strict({"inputs": [SEEN]}))
    assert request.messages[0].text == "Describe in detail what this is and what is in it."
    request, asked = await decode(strict({"inputs": [SEEN, ASKED], "analysis_type": "quick"}))
    assert request.messages[0].text == "What is this?\n\nSay in one sentence what this is."
    assert asked.analysis_type == "quick"


async def test_focus_areas_are_an_object_of_texts():
    request, _ = await decode(
        strict({"inputs": [SEEN], "analysis_type": "focused", "focus_areas": ["objects", "text"]})
    )
    assert request.messages[0].text.endswith("with a text for each of: objects, text.")
    assert request.json["required"] == ["objects", "text"]


async def test_documents_and_texts_become_parts_of_their_name():
    inputs = [
        {
            "type": "document",
            "source": "base64",
            "content": base64.b64encode(b"%PDF-1.7 ...").decode(),
            "filename": "a.pdf",
        },
        {"type": "document", "source": "base64", "content": base64.b64encode(b"wind").decode(), "filename": "b.md"},
    ]
    request, asked = await decode(strict({"inputs": inputs, "analysis_type": "quick"}))
    document, text, question = request.messages[0].parts
    assert (document.data, document.name) == (b"%PDF-1.7 ...", "a.pdf")
    assert "b.md" in text.text
    assert "wind" in text.text
    assert question.text.startswith("Say in one sentence")
    assert asked.kinds == ("document", "document")


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({}, "inputs", "found no inputs, expected a list of inputs"),
        ({"inputs": []}, "inputs", "found an empty list"),
        ({"inputs": [SEEN], "focus": 1}, "focus", "found the unknown field 'focus'; did you mean focus_areas"),
        ({"inputs": [SEEN], "analysis_type": "deep"}, "analysis_type", "expected one of quick, comprehensive, focused"),
        ({"inputs": [SEEN], "analysis_type": "focused"}, "focus_areas", "found no focus_areas"),
        ({"inputs": [SEEN], "focus_areas": ["a", "a"]}, "focus_areas[1]", "found 'a', expected a name of 1 to 64"),
        ({"inputs": [{"type": "smell"}]}, "inputs[0].type", "found 'smell', expected one of text, image"),
        ({"inputs": [{"type": "document"}]}, "inputs[0].source", "found no source, expected one of base64, url"),
        ({"inputs": [{"type": "image"}]}, "inputs[0].source", "found no source, expected one of base64, url"),
        (
            {"inputs": [{"type": "video", "source": "upload_id", "upload_id": "a"}]},
            "inputs[0].upload_id",
            "found 'a', expected the id of an uploaded file",
        ),
        (
            {"inputs": [{"type": "image", "source": "base64", "content": "aGVsbG8="}]},
            "inputs[0].content",
            "inputs[0].content: found bytes that begin with 68656c6c6f, expected a PNG",
        ),
        (
            {"inputs": [{"type": "image", "source": "url", "url": "photo.png"}]},
            "inputs[0].url",
            "found 'photo.png', expected an http(s) URL",
        ),
    ],
)
async def test_what_is_wrong_is_named_by_its_place(body, param, message):
    with pytest.raises(InvalidInput) as refused:
        await decode(strict(body))
    assert refused.value.param == param
    assert message in refused.value.message


def answered(text: str, areas: tuple[str, ...] = (), reason: str = "stop") -> dict:
    answer = AnalysisAnswer(AnalysisOptions(("image",), "quick", areas))
    for event in (ChatStarted("m", "CPU"), ChatDelta(0, text=text), ChatFinished(0, reason, 9, 3)):
        assert answer.take(event) == b""
    return json.loads(answer.end())


def test_the_answer_is_one_object():
    found = answered("a red circle")
    assert {name: found[name] for name in ("object", "model", "analysis_type", "analysis", "findings")} == {
        "object": "multimodal.analysis",
        "model": "m",
        "analysis_type": "quick",
        "analysis": "a red circle",
        "findings": None,
    }
    assert found["inputs"] == [{"index": 0, "type": "image"}]
    assert (found["finish_reason"], found["usage"]["total_tokens"]) == ("stop", 12)


def test_findings_are_told_one_by_one_unless_the_answer_was_cut():
    found = answered('{"objects": "a circle", "text": "none"}', ("objects", "text"))
    assert found["findings"] == {"objects": "a circle", "text": "none"}
    assert found["analysis"] == "objects: a circle\ntext: none"
    cut = answered('{"objects": "a cir', ("objects", "text"), "length")
    assert (cut["analysis"], cut["findings"], cut["finish_reason"]) == ('{"objects": "a cir', None, "length")
