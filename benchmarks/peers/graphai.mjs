// GraphAI under node: reads a request a line and answers a line, as worker.py does. GRAPHFERRY_PEERS names the folder with node_modules.
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

const PRIME = 1000003;
const tell = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");
console.log = () => {}; // whatever it prints is no answer

const load = () => {
  const require = createRequire(path.join(process.env.GRAPHFERRY_PEERS ?? ".", "any.js"));
  const { GraphAI, agentInfoWrapper } = require("graphai");
  const add = agentInfoWrapper(async ({ namedInputs }) => ({ v: (namedInputs.vals.reduce((sum, each) => sum + each, 0) + 1) % PRIME }));
  return { GraphAI, agents: { ...require("@graphai/vanilla"), add }, version: require("graphai/package.json").version };
};

const total = (results) => {
  const values = "m" in results ? results.m.map((row) => row.c) : Object.values(results);
  return values.reduce((sum, each) => sum + each.v, 0) % PRIME;
};

const documents = {}; // kept, as a program would

const answer = async ({ GraphAI, agents }, request) => {
  if (!request.document) return { error: "nothing of it lasts" };
  globalThis.gc?.();
  const document = (documents[request.workload] ??= request.document);
  const graph = new GraphAI(document, agents, {}); // serves one run; building it is not counted
  const cpu = process.cpuUsage();
  const began = performance.now();
  const results = await graph.run(false);
  const wall = (performance.now() - began) / 1000;
  const used = process.cpuUsage(cpu);
  return { answer: total(results), cpu: (used.user + used.system) / 1e6, wall };
};

let graphai;
try {
  graphai = load();
} catch (error) {
  tell({ error: `not installed: ${String(error).split("\n")[0]}` });
  process.exit(0);
}
tell({ version: `GraphAI ${graphai.version}` });
for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    tell(await answer(graphai, JSON.parse(line)));
  } catch (error) {
    tell({ error: String(error).slice(0, 300) });
  }
}
