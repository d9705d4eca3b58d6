"""OpenAI's Agents SDK, which speaks to /v1/responses and keeps sessions in /v1/conversations."""

import asyncio
import os

os.environ.update(OPENAI_API_KEY="-", OPENAI_BASE_URL=f"{os.environ['FASTEMBED_URL']}/v1")
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

from agents import Agent, ModelSettings, OpenAIConversationsSession, Runner, function_tool

RUNNER = asyncio.Runner()
"""One event loop: the SDK keeps its HTTP client for all runs."""
SETTINGS = ModelSettings(temperature=0)
GREETING = "Hello! How can I help you?"


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return "sunny" if city == "Paris" else "rain"


def agent(**options):
    return Agent(name="helper", model="auto", model_settings=SETTINGS, **options)


def test_an_agent_answers_with_its_instructions():
    assert RUNNER.run(Runner.run(agent(instructions="be nice"), "hello")).final_output == GREETING


def test_an_agent_calls_its_function_and_ends():
    found = RUNNER.run(Runner.run(agent(tools=[get_weather]), "What is the weather in Paris?"))
    outputs = [item.output for item in found.new_items if item.type == "tool_call_output_item"]
    assert outputs == ["sunny"]


def test_an_agents_stream_ends_with_its_answer():
    async def streamed():
        found = Runner.run_streamed(agent(tools=[get_weather]), "What is the weather in Paris?")
        kinds = [event.type async for event in found.stream_events()]
        return kinds, found.final_output

    kinds, final = RUNNER.run(streamed())
    assert "run_item_stream_event" in kinds
    assert final


def test_a_session_is_a_conversation_of_the_server():
    async def talked():
        session = OpenAIConversationsSession()
        await Runner.run(agent(), "hello", session=session)
        await Runner.run(agent(), "what is 3 + 4?", session=session)
        return [item["role"] for item in await session.get_items()]

    assert RUNNER.run(talked()) == ["user", "assistant", "user", "assistant"]


def test_an_agent_goes_on_from_its_last_response():
    async def followed():
        first = await Runner.run(agent(), "hello")
        return await Runner.run(agent(), "what is 3 + 4?", previous_response_id=first.last_response_id)

    assert RUNNER.run(followed()).final_output == "3 + 4 = 7"
