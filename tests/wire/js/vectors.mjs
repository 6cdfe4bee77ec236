// node vectors.mjs FOLDER: holds this client to the codec and graph vectors in that folder; exit status 1 if one does not hold.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodePacket, graphHash } from './envelopes.mjs';
import { read, same, untag, write } from './values.mjs';

const folder = process.argv[2] ?? new URL('../../../protocol/vectors', import.meta.url).pathname;
const lines = (kind) => readFileSync(join(folder, `${kind}.jsonl`), 'utf-8').trimEnd().split('\n').map((line) => JSON.parse(line));

function codec(vector) {
  const packet = Buffer.from(vector.hex, 'hex');
  let messages;
  try {
    messages = decodePacket(packet);
  } catch (error) {
    if (error.fault === undefined) throw error;
    return error.fault === vector.error ? null : `refused with ${error.message}, not ${vector.error}`;
  }
  if (vector.error !== null) return `taken, although ${vector.error} is to refuse it`;
  const value = [];
  for (let at = 0; at < packet.length; ) {
    const found = read(packet, at);
    value.push(found.value);
    at = found.end;
  }
  const expected = untag(vector.value);
  if (messages.length !== expected.length || !same(value, expected)) return 'read as another value';
  const written = Buffer.concat(expected.map((each) => write(each)));
  return vector.canonical && !written.equals(packet) ? `written as ${written.toString('hex')}` : null;
}

function graph(vector) {
  const { canonical, hash } = graphHash(untag(vector.value));
  if (canonical.toString('hex') !== vector.canonical_hex) return `canonical form ${canonical.toString('hex')}`;
  return hash.toString('hex') === vector.sha256 ? null : 'another hash';
}

let wrong = 0;
const counts = Object.entries({ codec, graph }).map(([kind, check]) => {
  const vectors = lines(kind);
  for (const vector of vectors) {
    const problem = check(vector);
    if (problem !== null) {
      wrong += 1;
      console.error(`${vector.name}: ${problem}`);
    }
  }
  return `${vectors.length} ${kind}`;
});
console.log(`${counts.join(', ')}: ${wrong === 0 ? 'all hold' : `${wrong} do not hold`}`);
process.exitCode = wrong === 0 ? 0 : 1;
