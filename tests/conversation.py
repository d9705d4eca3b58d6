"""Conversations with chat models: what is asked, what comes back."""

from fastembed.pipeline.payload.chat import ChatDelta, ChatRequest, Message, Sampling, TextPart

GREEDY = Sampling(temperature=0)


def turn(*parts, role="user"):
    """Return a message; parts: texts, and whatever else a message may have."""
    return Message(role, tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


def asked(*turns, sampling=GREEDY, **options):
    """Return a request; turns: messages, or texts of the user, which the assistant answers with the next text."""
    messages = []
    for one in turns:
        replies = messages and messages[-1].role == "user"
        messages.append(turn(one, role="assistant" if replies else "user") if isinstance(one, str) else one)
    return ChatRequest(tuple(messages), sampling=sampling, **options)


async def answer(model, request):
    """Return the events of an answer."""
    return [event async for event in model.generate(request)]


def text_of(events, index=0):
    """Return the text of one choice."""
    return "".join(event.text for event in events if isinstance(event, ChatDelta) and event.index == index)
