"""LangChain's OpenAI integration, with those of LangChain's standard tests that a tiny model can pass.

Left out are the tests of what only a model knows to do: to choose a tool by itself, to end a structured answer.
"""

import os

import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

URL = f"{os.environ['FASTEMBED_URL']}/v1"
NEED_A_LARGER_MODEL = (
    "test_tool_calling",
    "test_tool_calling_async",
    "test_tool_calling_with_no_arguments",
    "test_bind_runnables_as_tools",
    "test_tool_choice",
    "test_agent_loop",
    "test_unicode_tool_call_integration",
    "test_structured_output",
    "test_structured_output_async",
    "test_structured_output_pydantic_2_v1",
    "test_structured_output_optional_param",
    "test_json_mode",
    "test_stream_time",
)


class TestChatCompletions(ChatModelIntegrationTests):
    responses = False

    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return {
            "model": "auto",
            "base_url": URL,
            "api_key": "-",
            "temperature": 0,
            "max_retries": 0,
            "max_tokens": 40,
            "use_responses_api": self.responses,
            "stream_usage": True,
        }


def not_run(name):
    """Return what stands for a standard test that is not run."""

    @pytest.mark.xfail(reason="needs a model that knows what to do", run=False)
    def test(_):
        raise AssertionError(name)

    return test


for name in NEED_A_LARGER_MODEL:
    setattr(TestChatCompletions, name, not_run(name))


class TestResponses(TestChatCompletions):
    responses = True


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": "auto", "base_url": URL, "api_key": "-", "check_embedding_ctx_length": False}


@pytest.mark.parametrize("responses", [False, True])
def test_a_bound_tool_is_called(responses):
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return city

    model = ChatOpenAI(model="auto", base_url=URL, api_key="-", temperature=0, use_responses_api=responses)
    (call,) = model.bind_tools([get_weather], tool_choice="required").invoke("weather in Paris?").tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
