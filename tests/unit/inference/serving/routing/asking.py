"""Chat requests for tests."""

from fastembed.pipeline.payload.chat import ChatRequest, Message, TextPart


def ask(text, *before, **fields):
    """Return a request whose last message is `text`; before: (role, text) of earlier ones."""
    turns = [*before, ("user", text)]
    return ChatRequest(tuple(Message(role, (TextPart(words),)) for role, words in turns), **fields)
