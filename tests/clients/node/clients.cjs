// The clients for Node against a running server: each check prints one line of JSON, {name, error}.
const assert = require("node:assert/strict");
const { OpenAI } = require("openai");
const { generateText, streamText, embedMany, tool, stepCountIs } = require("ai");
const { createOpenAI } = require("@ai-sdk/openai");
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const { createAnthropic } = require("@ai-sdk/anthropic");
const { Ollama } = require("ollama");
const { z } = require("zod");

globalThis.AI_SDK_LOG_WARNINGS = false;
const url = process.env.FASTEMBED_URL;
const greeting = "Hello! How can I help you?";
const checks = [];
const check = (name, run) => checks.push([name, run]);

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "-", maxRetries: 0 });
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => (city === "Paris" ? "sunny" : "rain"),
});
const models = {
  "@ai-sdk/openai": createOpenAI({ baseURL: `${url}/v1`, apiKey: "-" })("auto"),
  "@ai-sdk/openai chat": createOpenAI({ baseURL: `${url}/v1`, apiKey: "-" }).chat("auto"),
  "@ai-sdk/openai-compatible": createOpenAICompatible({ name: "local", baseURL: `${url}/v1` })("auto"),
  "@ai-sdk/anthropic": createAnthropic({ baseURL: `${url}/v1`, apiKey: "-" })("auto"),
};

check("openai: a response is answered, streamed and followed", async () => {
  const first = await openai.responses.create({ model: "auto", input: "hello", temperature: 0 });
  assert.equal(first.output_text, greeting);
  const stream = openai.responses.stream({
    model: "auto", input: "what is 3 + 4?", temperature: 0, previous_response_id: first.id,
  });
  for await (const event of stream) assert.ok(event.type);
  assert.equal((await stream.finalResponse()).output_text, "3 + 4 = 7");
});

check("openai: a chat is streamed", async () => {
  const stream = openai.chat.completions.stream({
    model: "auto", messages: [{ role: "user", content: "hello" }], temperature: 0,
  });
  assert.equal(await stream.finalContent(), greeting);
});

check("openai: a conversation is listed to its end", async () => {
  const { id } = await openai.conversations.create({});
  await openai.responses.create({ model: "auto", input: "hello", conversation: id });
  const roles = [];
  for await (const item of openai.conversations.items.list(id, { limit: 1 })) roles.push(item.role);
  assert.deepEqual(roles, ["assistant", "user"]);
});

check("openai: an error is the client's own", async () => {
  await assert.rejects(openai.responses.create({ model: "nope", input: "x" }), /found no model 'nope'/);
});

for (const name of Object.keys(models)) {
  check(`${name}: a text is generated and streamed`, async () => {
    const model = models[name];
    assert.equal((await generateText({ model, prompt: "hello", temperature: 0 })).text, greeting);
    const stream = streamText({ model, prompt: "hello", temperature: 0 });
    let text = "";
    for await (const piece of stream.textStream) text += piece;
    assert.equal(text, greeting);
    assert.equal(await stream.finishReason, "stop");
  });

  check(`${name}: a tool is called and its result answered`, async () => {
    const asked = { model: models[name], prompt: "What is the weather in Paris?", temperature: 0 };
    const steps = { tools: { get_weather: weather }, stopWhen: stepCountIs(3) };
    const found = await generateText({ ...asked, ...steps });
    assert.deepEqual(found.steps[0].toolCalls.map((call) => call.input), [{ city: "Paris" }]);
    assert.equal(found.steps.length, 2);
    const kinds = [];
    for await (const part of streamText({ ...asked, ...steps }).fullStream) kinds.push(part.type);
    for (const kind of ["tool-call", "tool-result", "text-delta", "finish"]) assert.ok(kinds.includes(kind), kind);
    assert.ok(!kinds.includes("error"));
  });
}

check("@ai-sdk/openai: what was said comes back by reference", async () => {
  const model = models["@ai-sdk/openai"];
  const first = await generateText({ model, prompt: "hello", temperature: 0 });
  const messages = [{ role: "user", content: "hello" }, ...first.response.messages];
  const asked = { model, temperature: 0, messages: [...messages, { role: "user", content: "what is 3 + 4?" }] };
  const second = await generateText(asked);
  assert.equal(second.text, "3 + 4 = 7");
  assert.match(JSON.stringify(second.request.body), /item_reference/);
});

check("@ai-sdk/openai: texts are embedded", async () => {
  const model = createOpenAI({ baseURL: `${url}/v1`, apiKey: "-" }).textEmbeddingModel("auto");
  assert.equal((await embedMany({ model, values: ["a", "b"] })).embeddings[1].length, 384);
});

check("ollama: a chat is answered and streamed, models are listed", async () => {
  const client = new Ollama({ host: url });
  const asked = { model: "auto", messages: [{ role: "user", content: "hello" }], options: { temperature: 0 } };
  assert.equal((await client.chat(asked)).message.content, greeting);
  let text = "";
  for await (const line of await client.chat({ ...asked, stream: true })) text += line.message.content;
  assert.equal(text, greeting);
  assert.ok((await client.list()).models.length);
  assert.ok((await client.version()).version);
  await assert.rejects(client.chat({ ...asked, model: "nope" }), /found no model 'nope'/);
});

(async () => {
  for (const [name, run] of checks) {
    const error = await run().then(() => "", (found) => String(found.stack || found));
    console.log(JSON.stringify({ name, error }));
  }
})();
