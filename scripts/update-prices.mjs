// Converts the price data of @pydantic/genai-prices to Farthing's catalogue.
// Prices become decimal strings (USD for a million tokens): no reader has to
// go through a float.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const folder = process.argv[2];
const about = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
const { findProvider } = await import(pathToFileURL(`${folder}/dist/index.js`));

const wanted = ['openai', 'anthropic', 'google', 'deepseek', 'mistral', 'x-ai', 'groq', 'azure', 'aws',
  'cohere', 'fireworks', 'together', 'perplexity', 'openrouter', 'cerebras', 'moonshotai', 'novita'];
// Names under which operators know them; the catalogue's own name is always one.
const aliases = { 'x-ai': ['xai'], google: ['gemini', 'vertex'], aws: ['bedrock'] };

const units = {
  input_mtok: 'input', cache_read_mtok: 'cached_input', cache_write_mtok: 'cache_write',
  output_mtok: 'output', input_audio_mtok: 'input_audio', output_audio_mtok: 'output_audio',
  cache_audio_read_mtok: 'cached_audio', requests_kcount: 'request',
  output_reasoning_mtok: 'reasoning',
};

// Shares of the standard price, from the providers' own pages on batch and
// flex processing. Priority processing has no one share: its cost is unknown.
const serviceTiers = {
  openai: { batch: 50, flex: 50 }, azure: { batch: 50 }, anthropic: { batch: 50 },
  google: { batch: 50 }, mistral: { batch: 50 }, groq: { batch: 50, flex: 100 },
};

// The shortest decimal of a double is what a person typed; twelve places are
// what Farthing counts in.
const decimal = (n) => {
  const text = n.toString();
  if (!text.includes('e') && (text.split('.')[1] ?? '').length <= 12) return text;
  return n.toFixed(12).replace(/0+$/, '').replace(/\.$/, '');
};

// The regular expressions that the package uses, in the catalogue's own words:
// `#` is a digit, a last `*` anything.
function fromRegex(regex) {
  if (regex === '^(?!.*-[tT][tT][sS](?:$|-))')
    return { not: { or: [{ ends_with: '-tts' }, { contains: '-tts-' }] } };
  const plain = regex.match(/^\^((?:[\w\/-]|\\\.|\\d\{\d\}|\\d)+)(\$?)$/);
  if (!plain) return null;
  const like = plain[1].replaceAll('\\.', '.')
    .replace(/\\d(?:\{(\d)\})?/g, (_, times) => '#'.repeat(Number(times ?? 1)));
  return { like: like + (plain[2] ? '' : '*') };
}

let dropped = 0;
function clause(match) {
  if (match.or || match.and) {
    const kind = match.or ? 'or' : 'and';
    const parts = match[kind].map(clause);
    const kept = parts.filter((p) => p !== null);
    // An alternative may be left out; a condition may not.
    if (kept.length === 0 || (kind === 'and' && kept.length < parts.length)) return null;
    return kept.length === 1 ? kept[0] : { [kind]: kept };
  }
  if (match.regex !== undefined) {
    const words = fromRegex(match.regex);
    if (words === null) dropped++;
    return words;
  }
  return match;
}

function simple(prices, pick) {
  const out = {};
  for (const [from, to] of Object.entries(units)) {
    const value = prices[from];
    if (value === undefined || value === null) continue;
    const n = typeof value === 'object' ? pick(value) : value;
    out[to] = to === 'request' ? decimal(n / 1000) : decimal(n);
  }
  return out;
}

// Tiers are steps by the input's length: above `start` the whole request has
// the step's price.
function priced(prices) {
  const out = simple(prices, (tiered) => tiered.base);
  const starts = new Set();
  for (const value of Object.values(prices))
    if (value && typeof value === 'object') value.tiers.forEach((t) => starts.add(t.start));
  const steps = [...starts].sort((a, b) => a - b).map((start) => ({
    above: start,
    ...simple(prices, (tiered) => tiered.tiers.filter((t) => t.start <= start).reduce((best, t) => t.price, tiered.base)),
  }));
  if (steps.length > 0) out.steps = steps;
  return out;
}

function variants(prices, provider) {
  const list = Array.isArray(prices) ? prices : [{ prices }];
  return list.map(({ constraint, prices: p }) => {
    // Nothing at all means free; what is sold by the hour or the page stays
    // without a price, which the ledger reports as not known.
    const out = Object.keys(p).length === 0 ? { input: '0', output: '0' } : priced(p);
    if (provider === 'anthropic' && p.input_mtok !== undefined && p.cache_write_mtok !== undefined) {
      // Anthropic's prompt caching page: the 1-hour lifetime costs twice the input price.
      const double = (o) => { if (o.input !== undefined) o.cache_write_1h = decimal(Number((2 * Number(o.input)).toFixed(9))); };
      double(out);
      (out.steps ?? []).forEach(double);
    }
    if (constraint?.start_date) out.from = constraint.start_date;
    if (constraint?.start_time) { out.start_time = constraint.start_time; out.end_time = constraint.end_time; }
    return out;
  });
}

const hosts = (pattern) => [...new Set(
  (pattern.replaceAll('\\.', '.').match(/[a-z0-9-]+(\.[a-z0-9-]+)+/g) ?? []).filter((h) => h.includes('.')))];

const providers = [];
for (const id of wanted) {
  const p = findProvider({ providerId: id });
  if (!p || p.id !== id) { process.stderr.write(`no provider ${id}\n`); continue; }
  const models = [];
  for (const m of p.models) {
    const match = clause(m.match);
    if (match === null) continue;
    models.push({ id: m.id, match, prices: variants(m.prices, id) });
  }
  providers.push({
    id, names: [id, ...(aliases[id] ?? [])], hosts: hosts(p.api_pattern),
    fallback: (p.fallback_model_providers ?? []).filter((f) => wanted.includes(f)),
    service_tiers: serviceTiers[id] ?? {}, models,
  });
}
process.stderr.write(`${dropped} clauses with regular expressions left out\n`);

const lines = providers.map((p) => {
  const { models, ...head } = p;
  const body = models.map((m) => '    ' + JSON.stringify(m)).join(',\n');
  return `  ${JSON.stringify(head).slice(0, -1)},"models":[\n${body}\n  ]}`;
});
process.stdout.write(`{
 "date": "${new Date().toISOString().slice(0, 10)}",
 "source": "npm package ${about.name} ${about.version} (${about.license ?? 'MIT'})",
 "unit": "USD for a million tokens; request: USD for one request",
 "providers": [
${lines.join(',\n')}
 ]
}
`);
