// Values and their bytes (docs/protocol.md §12): maps are Map (their order counts), integers beyond 2^53 BigInt, a float64 that is to
// stay one although it is whole is a Float, extensions are ExtData. Tagged JSON (§21) writes all of them down.
import { Decoder, Encoder, ExtData } from '@msgpack/msgpack';

export class Float {
  constructor(value) {
    this.value = value;
  }
}

export class Refused extends Error {
  constructor(fault, message) {
    super(`${message} (${fault})`);
    this.fault = fault;
  }
}

const MAX_ITEMS = 4096;
const scalars = new Decoder({ useBigInt64: true });
const numbers = new Encoder();
const bigs = new Encoder({ useBigInt64: true });
const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

// -- reading

/** The value at `at`: { value, end, depth }. Depth counts lists and maps, this one included; `room` is how deep it may be. */
export function read(bytes, at, room = 1024) {
  const head = byte(bytes, at);
  if (head === 0xc1) throw new Refused('PROTOCOL_DECODE', 'the byte that is never used');
  if (head >= 0x90 && head <= 0x9f) return list(bytes, at + 1, head & 0x0f, room);
  if (head === 0xdc || head === 0xdd) return list(bytes, at + (head === 0xdc ? 3 : 5), length(bytes, at + 1, head === 0xdc ? 2 : 4), room);
  if (head >= 0x80 && head <= 0x8f) return map(bytes, at + 1, head & 0x0f, room);
  if (head === 0xde || head === 0xdf) return map(bytes, at + (head === 0xde ? 3 : 5), length(bytes, at + 1, head === 0xde ? 2 : 4), room);
  if (head >= 0xa0 && head <= 0xbf) return string(bytes, at + 1, head & 0x1f);
  if (head >= 0xd9 && head <= 0xdb) return string(bytes, ...sized(bytes, at, head - 0xd9));
  if (head >= 0xc4 && head <= 0xc6) {
    const [start, size] = sized(bytes, at, head - 0xc4);
    return { value: slice(bytes, start, start + size), end: start + size, depth: 0 };
  }
  if (head >= 0xc7 && head <= 0xc9) return extension(bytes, ...sized(bytes, at, head - 0xc7));
  if (head >= 0xd4 && head <= 0xd8) return extension(bytes, at + 1, 1 << (head - 0xd4));
  const end = at + 1 + ({ 0xca: 4, 0xcb: 8, 0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8, 0xd0: 1, 0xd1: 2, 0xd2: 4, 0xd3: 8 }[head] ?? 0);
  const value = scalars.decode(slice(bytes, at, end));
  const safe = typeof value === 'bigint' && value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER;
  return { value: safe ? Number(value) : value, end, depth: 0 };
}

function byte(bytes, at) {
  if (at >= bytes.length) throw new Refused('PROTOCOL_DECODE', 'the packet ends inside an envelope');
  return bytes[at];
}

function slice(bytes, start, end) {
  if (end > bytes.length) throw new Refused('PROTOCOL_DECODE', 'the packet ends inside an envelope');
  return bytes.subarray(start, end);
}

function length(bytes, at, width) {
  return slice(bytes, at, at + width).reduce((number, each) => number * 256 + each, 0);
}

function sized(bytes, at, power) {
  const width = 1 << power;
  return [at + 1 + width, length(bytes, at + 1, width)];
}

function string(bytes, start, size) {
  try {
    return { value: text.decode(slice(bytes, start, start + size)), end: start + size, depth: 0 };
  } catch (error) {
    throw error instanceof Refused ? error : new Refused('PROTOCOL_DECODE', 'text that is no UTF-8');
  }
}

function extension(bytes, start, size) {
  const data = slice(bytes, start + 1, start + 1 + size);
  return { value: new ExtData((byte(bytes, start) << 24) >> 24, Uint8Array.from(data)), end: start + 1 + size, depth: 0 };
}

function inside(count, room) {
  if (count > MAX_ITEMS) throw new Refused('LIMIT_ITEMS', `a list or map of ${count} entries`);
  if (room < 1) throw new Refused('LIMIT_DEPTH', 'nested too deeply');
}

function list(bytes, at, count, room) {
  inside(count, room);
  const value = [];
  let depth = 0;
  for (let index = 0; index < count; index++) {
    const item = read(bytes, at, room - 1);
    value.push(item.value);
    [at, depth] = [item.end, Math.max(depth, item.depth)];
  }
  return { value, end: at, depth: depth + 1 };
}

function map(bytes, at, count, room) {
  inside(count, room);
  const value = new Map();
  let depth = 0;
  for (let index = 0; index < count; index++) {
    const key = read(bytes, at, 0);
    if (typeof key.value !== 'string') throw new Refused('PROTOCOL_DECODE', 'a key that is no text');
    const item = read(bytes, key.end, room - 1);
    value.set(key.value, item.value);
    [at, depth] = [item.end, Math.max(depth, item.depth)];
  }
  return { value, end: at, depth: depth + 1 };
}

// -- writing

/** The bytes of a value in their shortest form. With `canonical`, whole floats below 2^53 are integers (§7, §12). */
export function write(value, canonical = false) {
  return Buffer.concat([...pieces(value, canonical)]);
}

function* pieces(value, canonical) {
  if (Array.isArray(value)) {
    yield header(value.length, 0x90, 0xdc);
    for (const item of value) yield* pieces(item, canonical);
  } else if (value instanceof Map) {
    yield header(value.size, 0x80, 0xde);
    for (const [key, item] of value) {
      yield numbers.encode(key);
      yield* pieces(item, canonical);
    }
  } else if (value instanceof Float) {
    const whole = Number.isInteger(value.value) && Math.abs(value.value) < 2 ** 53;
    if (canonical && whole) yield numbers.encode(value.value);
    else {
      const bytes = Buffer.alloc(9, 0xcb);
      bytes.writeDoubleBE(value.value, 1);
      yield bytes;
    }
  } else if (typeof value === 'bigint') yield bigs.encode(value);
  else yield numbers.encode(value);
}

function header(count, small, large) {
  if (count < 16) return Buffer.from([small | count]);
  return count < 65536 ? Buffer.from([large, count >> 8, count & 255]) : Buffer.from([large + 1, 0, count >> 16, (count >> 8) & 255, count & 255]);
}

// -- tagged JSON

/** The value that tagged JSON says. Plain JavaScript data is tagged JSON, too: a way to write values down. */
export function untag(tagged) {
  if (Array.isArray(tagged)) return tagged.map(untag);
  if (tagged === null || typeof tagged !== 'object') return tagged;
  if (tagged instanceof Uint8Array || tagged instanceof Map) return tagged;
  const entries = Object.entries(tagged);
  if (entries.length === 1) {
    const [key, of] = entries[0];
    if (key === '$bin') return Uint8Array.from(Buffer.from(of, 'hex'));
    if (key === '$ext') return new ExtData(of[0], Uint8Array.from(Buffer.from(of[1], 'hex')));
    if (key === '$undef') return new ExtData(5, new Uint8Array());
    if (key === '$f') return new Float({ inf: Infinity, '-inf': -Infinity, nan: NaN }[of] ?? Number(of));
    if (key === '$u') return BigInt(of);
    if (key === '$map') return new Map(of.map(([name, item]) => [name, untag(item)]));
  }
  return new Map(entries.map(([name, item]) => [name, untag(item)]));
}

/** Whether two values are the same; the order of keys does not count. */
export function same(one, other) {
  if (one instanceof Float) one = one.value;
  if (other instanceof Float) other = other.value;
  if (one instanceof ExtData) return other instanceof ExtData && one.type === other.type && same(one.data, other.data);
  if (one instanceof Uint8Array) return other instanceof Uint8Array && Buffer.compare(one, other) === 0;
  if (Array.isArray(one)) return Array.isArray(other) && one.length === other.length && one.every((item, index) => same(item, other[index]));
  if (one instanceof Map) {
    return other instanceof Map && one.size === other.size && [...one].every(([key, item]) => other.has(key) && same(item, other.get(key)));
  }
  return Object.is(one, other) || one == other; // a BigInt and a number may be the same number
}
