// The official Node SDK: whole, streamed, from the cache, an error.
import OpenAI from 'openai';
import assert from 'node:assert/strict';

const client = new OpenAI({ maxRetries: 0 });
const ask = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'from node' }] };

const whole = await client.chat.completions.create(ask);
assert.equal(whole.choices[0].message.content, 'Hello there.');

const { data, response } = await client.chat.completions.create(ask).withResponse();
assert.equal(response.headers.get('x-farthing-cache'), 'hit');
assert.deepEqual(data, whole);

for (const headers of [{}, { 'x-farthing-cache': 'bypass' }]) {
  let text = '', last;
  for await (const event of await client.chat.completions.create(
    { ...ask, stream: true, stream_options: { include_usage: true } }, { headers })) {
    text += event.choices[0]?.delta?.content ?? '';
    last = event;
  }
  assert.equal(text, 'Hello there.');
  assert.equal(last.usage.completion_tokens, 3);
}

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert.ok(models.includes('openai/gpt-4o-mini'));

await assert.rejects(client.chat.completions.create({ messages: ask.messages }),
  (error) => error.status === 400 && error.code === 'invalid_request' && error.param === 'model');
console.log('all well');
