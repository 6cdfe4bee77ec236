// node run.mjs URL JOURNAL [steady]: a device in JavaScript. Ships a cut of three nodes to the worker at URL, gives it the value that it waits for,
// loses the connection after the first result (unless `steady`), resumes, and prints what it got as JSON. JOURNAL is its log file: every record is in it, synced, before
// it is sent or acknowledged (docs/protocol.md §10). GRAPHFERRY_TOKEN, if set, is shown to the worker.
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import WebSocket from 'ws';
import { chain, decodePacket, encodePacket, graphHash, isRecord, tailOf } from './envelopes.mjs';
import { untag } from './values.mjs';

const [url, journal, steady] = process.argv.slice(2);
const EXPIRED = 2; // and 3, diverged, and 4, another session of this device has it: nothing more is said of the run
const [HELLO, WELCOME, PING, PONG, ACK, LOG, FAULT] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08];
const [PUT_GRAPH, GRAPH_STATE, DELTA] = [0x10, 0x11, 0x38];
const [SUBMIT, INPUT, CLOSE, EVENT, RESULT, ERROR, END] = [0x20, 0x21, 0x24, 0x30, 0x31, 0x33, 0x34];
const COMPLETED = 4;

const GRAPH = untag({
  version: 0.5,
  nodes: {
    topic: { value: 'the tide' },
    outline: { boundary: true },
    draft: { agent: 'llmAgent', model: 'large', inputs: { prompt: 'Draft ${:topic} by ${:outline.text}' } },
    critique: { agent: 'copyAgent', inputs: { text: ':draft.text' } },
    final: { agent: 'llmAgent', model: 'large', isResult: true, inputs: { prompt: ':critique.text' } },
  },
});

/** UUIDv7: 48 bits of ms since 1970, then random bits. */
function uuid7() {
  const id = randomBytes(16);
  id.writeUIntBE(Date.now(), 0, 6);
  id[6] = 0x70 | (id[6] & 0x0f);
  id[8] = 0x80 | (id[8] & 0x3f);
  return id;
}

const me = { device: randomBytes(16), store: randomBytes(8), root: uuid7(), run: uuid7() };
const file = openSync(journal, 'wx');

/** One log at this end: its records, as they were written or received, and its checksum after each. */
class Log {
  records = [];
  chks = [0];

  constructor(name) {
    this.name = name;
  }

  add(type, count, tail) {
    writeSync(file, `${JSON.stringify({ log: this.name, seq: this.have + 1, type, count, tail: Buffer.from(tail).toString('hex') })}\n`);
    this.records.push({ type, count, tail: Buffer.from(tail) });
    this.chks.push(chain(this.chks.at(-1), type, tail));
  }

  get have() {
    return this.records.length;
  }
}

const mine = new Log('device');
const theirs = new Log('worker');
const order = (type, ...fields) => mine.add(type, fields.length, tailOf(fields.map(untag)));
const commit = () => fsyncSync(file);

const seen = { results: {}, errors: [], text: '', end: null, connections: 0, welcomes: [] };
const shown = new Map(); // seq of an attempt's EVENT executing -> tokens shown
let worker = null; // its store id

/** Records of our log from `next` on, as envelopes: the stored bytes again, never encoded anew. */
function sending(next) {
  if (next > mine.have) return [];
  const found = [encodePacket([LOG, 1, me.run, me.store, next])];
  return [...found, ...more(next)];
}

function more(next) {
  return mine.records.slice(next - 1).map(({ type, count, tail }, index) =>
    Buffer.concat([Buffer.from([0x90 | (count + 3), type]), encodePacket([1, next + index]).subarray(1), tail]),
  );
}

/** One connection: 'cut' if it was cut on purpose, 'done' at END. */
function connection(number) {
  seen.connections = number;
  return new Promise((resolve, reject) => {
    const token = process.env.GRAPHFERRY_TOKEN;
    const socket = new WebSocket(url, 'graphferry.v1', { perMessageDeflate: false, headers: token ? { Authorization: `Bearer ${token}` } : {} });
    let alias = 0; // of the worker's log
    let sent = 0;
    const send = (...packets) => socket.send(Buffer.concat(packets));
    const flush = () => {
      commit();
      if (sent < mine.have) send(...more(sent + 1));
      sent = mine.have;
    };

    socket.on('open', () => {
      const logs = [];
      if (number > 1) {
        logs.push([me.run, me.store, mine.have, mine.chks.at(-1)]);
        if (theirs.have > 0) logs.push([me.run, worker, theirs.have, theirs.chks.at(-1), [...shown].map((each) => [...each])]);
      }
      const hello = new Map(Object.entries({ v: [1, 1], caps: [], agent: 'wire-check/1', device: me.device, store: me.store, conn: number, limits: new Map(), logs }));
      if (number > 1) return send(encodePacket([HELLO, hello]));
      const { canonical, hash } = graphHash(GRAPH);
      order(SUBMIT, '', hash, {}, untag({ parent: [me.root, 1], gone: ['cancel', 30000] }));
      commit();
      send(encodePacket([HELLO, hello], [PUT_GRAPH, hash, 0, canonical, canonical.length]), ...sending(1));
      sent = mine.have;
    });

    socket.on('message', (packet, binary) => {
      try {
        if (!binary) throw new Error('a text message');
        const acked = theirs.have;
        for (const envelope of decodePacket(packet)) {
          if (isRecord(envelope.type)) record(envelope);
          else control(envelope);
        }
        if (theirs.have > acked) {
          commit();
          send(encodePacket([ACK, alias, theirs.have]));
        }
        if (seen.end !== null) socket.close(1000);
        else if (!steady && number === 1 && Object.keys(seen.results).length > 0) {
          socket.terminate(); // in the middle of everything
          resolve('cut');
        }
      } catch (error) {
        reject(error);
      }
    });

    function control({ type, fields }) {
      if (type === WELCOME) {
        const body = fields[0];
        worker = Buffer.from(body.get('store'));
        seen.welcomes.push(body.get('logs').map(([, writer, have, chk, status]) => {
          if (status >= EXPIRED) throw new Error(`the worker goes on with this run no more for this session: status ${status}`);
          const log = Buffer.compare(writer, me.store) === 0 ? mine : theirs;
          const common = Math.min(have, log.have);
          if (have === common && chk !== log.chks[common]) throw new Error(`checksum ${chk}, ours is ${log.chks[common]}`);
          if (log === mine && have < mine.have) {
            send(...sending(have + 1));
            sent = mine.have;
          }
          return [log === mine ? 'device' : 'worker', have, status];
        }));
        if (number === 1) {
          order(INPUT, 'outline', COMPLETED, untag({ text: 'moon, sun, water' }));
          order(CLOSE);
          flush();
        } else sent = mine.have;
      } else if (type === LOG) {
        alias = fields[0];
        if (fields[3] !== theirs.have + 1) throw new Error(`LOG begins at ${fields[3]}, ${theirs.have} records are here`);
      } else if (type === PING) send(encodePacket([PONG, fields[0], fields[1], Math.floor(performance.now())]));
      else if (type === FAULT) throw new Error(`FAULT ${fields[0]}: ${fields[1]}`);
      else if (type === GRAPH_STATE && fields[1] !== 0) throw new Error(`the graph was not taken: ${JSON.stringify(fields[2])}`);
      else if (type === DELTA) delta(...fields);
    }

    function delta(_, start, off, tokens, n) {
      const count = shown.get(start);
      if (count === undefined || off > count || (off < count && n !== undefined && n !== null)) return;
      seen.text += tokens.slice(count - off).join('');
      shown.set(start, Math.max(count, off + (n ?? tokens.length)));
    }

    function record({ type, seq, fields, tail }) {
      if (seq !== theirs.have + 1) {
        if (seq > theirs.have) throw new Error(`record ${seq} after ${theirs.have}`);
        return;
      }
      theirs.add(type, fields.length, tail);
      if (type === EVENT && fields[2] === 2) {
        seen.text = '';
        shown.clear();
        shown.set(seq, 0);
      } else if (type === RESULT) {
        seen.results[fields[0]] = fields[3] instanceof Map ? fields[3].get('text') : fields[3];
        shown.clear();
      } else if (type === ERROR) seen.errors.push(fields.slice(0, 5));
      else if (type === END) seen.end = fields[0];
    }

    socket.on('close', (code, reason) => (seen.end !== null ? resolve('done') : reject(new Error(`closed with ${code} ${reason}`))));
    socket.on('error', reject);
  });
}

let number = 1;
while ((await connection(number)) === 'cut') number += 1;
closeSync(file);
console.log(JSON.stringify({ ...seen, run: me.run.toString('hex'), device: mine.have, worker: theirs.have, chks: [mine.chks.at(-1), theirs.chks.at(-1)] }));
