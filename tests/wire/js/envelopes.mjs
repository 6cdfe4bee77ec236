// Envelopes (docs/protocol.md §4, §5, §17): what a packet holds, checked field by field; checksums of logs (§10); hashes of graphs (§7).
import { createHash } from 'node:crypto';
import { ExtData } from '@msgpack/msgpack';
import { read, Refused, write } from './values.mjs';

const MAX_PACKET = 256 * 1024;
const MAX_RECORD = 64 * 1024;
const MAX_PATH = 512;

// §5, by the letters of §4; G = a graph's bytes or a BLOBREF, r = the name of a body (hash or handle), p = a path, P = a path or nil, l = a list, ? after a letter = may be nil
const FIELDS = {
  0x01: 'm', 0x02: 'm', 0x03: 'uu', 0x04: 'uuu', 0x06: 'uiwu', 0x07: 'suu', 0x08: 'ssbvu?', 0x0a: 'm',
  0x10: 'huGu', 0x11: 'hul?', 0x13: 'l', 0x14: 'ruuBu?', 0x15: 'ruu', 0x38: 'uuulu?', 0x39: 'usuuu',
  0x20: 'shmm', 0x21: 'puv', 0x22: 'l?s', 0x23: 'pu', 0x24: 's?', 0x25: 'shmm', 0x26: 'puv', 0x27: 'wu',
  0x30: 'Puuum?', 0x31: 'puuvumm?', 0x33: 'Puusvbbu?v', 0x34: 'uum',
};
const bytes = (size) => (value) => value instanceof Uint8Array && (size === null || value.length === size);
const path = (value) => typeof value === 'string' && value.length > 0 && Buffer.byteLength(value) <= MAX_PATH;
const FITS = {
  u: (value) => Number.isSafeInteger(value) && value >= 0,
  s: (value) => typeof value === 'string',
  b: (value) => typeof value === 'boolean',
  B: bytes(null), i: bytes(16), w: bytes(8), h: bytes(32),
  m: (value) => value instanceof Map,
  l: Array.isArray,
  v: () => true,
  r: (value) => bytes(32)(value) || bytes(16)(value),
  G: (value) => bytes(null)(value) || (value instanceof ExtData && value.type === 1),
  p: path,
  P: (value) => value === null || path(value),
};

export const isRecord = (type) => type >= 0x20 && type <= 0x37;

/** The envelopes of a packet: [{ type, fields, tail? }]; of a record, `fields` are those after alias and seq. */
export function decodePacket(packet) {
  if (packet.length > MAX_PACKET) throw new Refused('LIMIT_PACKET', 'a packet beyond the limit');
  if (packet.length === 0) throw new Refused('PROTOCOL_DECODE', 'an empty packet');
  const found = [];
  for (let at = 0; at < packet.length; ) {
    const envelope = readEnvelope(packet, at);
    found.push(envelope);
    at = envelope.end;
  }
  return found;
}

function readEnvelope(packet, at) {
  const { value, end } = read(packet, at);
  if (!Array.isArray(value) || value.length === 0) throw new Refused('PROTOCOL_DECODE', 'an envelope is an array');
  const [type, ...fields] = value;
  const first = at + (packet[at] < 0xa0 ? 1 : packet[at] === 0xdc ? 3 : 5);
  if (!Number.isInteger(type) || type > 127 || packet[first] !== type) throw new Refused('PROTOCOL_DECODE', 'the type is a number of one byte');
  if (!isRecord(type)) {
    deepest(packet, first + 1, end, type === 0x38 ? 34 : 8);
    if (type === 0x05) checkAck(fields);
    else checkFields(type, fields);
    return { type, fields, end };
  }
  const [alias, seq] = fields;
  if (!FITS.u(alias) || !FITS.u(seq)) throw new Refused('PROTOCOL_DECODE', 'a record begins with its alias and its seq');
  const tailAt = read(packet, read(packet, first + 1).end).end;
  if (end - tailAt > MAX_RECORD) throw new Refused('LIMIT_RECORD', 'a record beyond the limit');
  deepest(packet, tailAt, end, 34);
  checkFields(type, fields.slice(2));
  return { type, alias, seq, fields: fields.slice(2), tail: packet.subarray(tailAt, end), end };
}

function deepest(packet, at, end, limit) {
  while (at < end) {
    const item = read(packet, at);
    if (item.depth > limit) throw new Refused('LIMIT_DEPTH', `nested deeper than ${limit}`);
    at = item.end;
  }
}

function checkAck(fields) {
  if (fields.length === 0 || fields.length % 2 || !fields.every(FITS.u)) throw new Refused('PROTOCOL_DECODE', 'ACK: pairs of alias and seq');
}

function checkFields(type, fields) {
  (FIELDS[type] ?? '').match(/\w\??/g)?.forEach((letter, index) => {
    const value = fields[index] ?? null;
    if (letter.endsWith('?') && value === null) return;
    if (!FITS[letter[0]](value)) throw new Refused('PROTOCOL_DECODE', `type ${type}: field ${index + 1}`);
  });
  if (type === 0x22 && fields[0] && !fields[0].every(path)) throw new Refused('PROTOCOL_DECODE', 'CANCEL: paths');
}

/** A packet of these envelopes, [type, ...fields] each; nil at the end is left out. */
export function encodePacket(...envelopes) {
  return Buffer.concat(envelopes.map((each) => {
    const fields = [...each];
    while (fields.at(-1) === null) fields.pop();
    return write(fields);
  }));
}

/** A record's bytes after seq. */
export const tailOf = (fields) => Buffer.concat(fields.map((each) => write(each, true)));

export const isUndefined = (value) => value instanceof ExtData && value.type === 5;

// -- checksums and hashes

const TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  for (let bit = 0; bit < 8; bit++) number = number & 1 ? (number >>> 1) ^ 0xedb88320 : number >>> 1;
  return number >>> 0;
});

/** chk(n) from chk(n - 1): CRC-32 over the type's byte and the tail, going on from there. */
export function chain(chk, type, tail) {
  let crc = ~chk;
  for (const each of [type, ...tail]) crc = TABLE[(crc ^ each) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** { canonical, hash } of a graph. */
export function graphHash(graph) {
  const canonical = write(graph, true);
  return { canonical, hash: createHash('sha256').update('graphferry.graph.1\n').update(canonical).digest() };
}
