"""Both ways of decoding give what the tokenizer gives for the whole."""

from pathlib import Path

import pytest

from fastembed.inference.engines.chat.decoding import Decoder
from fastembed.inference.engines.chat.generation import Generation, Mailbox

FOLDER = Path(__file__).parent.parent.parent / "models" / "chat-pocket"
TEXTS = ["hello wörld 😀 done", " leading, trailing ", "漢字かな\n\ttab", "plain"]


@pytest.mark.parametrize("by_bytes", [True, False])
@pytest.mark.parametrize("size", [1, 2, 5])
async def test_pieces_join_to_the_text(by_bytes, size):
    import openvino_genai

    tokenizer = openvino_genai.Tokenizer(str(FOLDER))
    decoder = Decoder(tokenizer, frozenset({2}))
    assert decoder._bytes is not None
    if not by_bytes:
        decoder._bytes = None
    answers = [(Generation([0], None, Mailbox(), index), text) for index, text in enumerate(TEXTS)]
    ids = [[*tokenizer.encode(text, add_special_tokens=False).input_ids.data[0].tolist(), 2] for text in TEXTS]
    shown = ["" for _ in TEXTS]
    for start in range(0, max(map(len, ids)), size):
        news = []
        for (generation, _), row in zip(answers, ids, strict=True):
            if fresh := row[start : start + size]:
                news.append((generation, [(one, 0.0) for one in fresh], "stop" if start + size >= len(row) else None))
        for generation, piece in decoder.pieces(news):
            shown[generation.index] += "".join(token.text for token in piece.tokens) + piece.tail
    assert shown == TEXTS
    assert [generation.produced for generation, _ in answers] == ids
