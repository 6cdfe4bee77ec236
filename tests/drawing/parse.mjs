// Reads a JSON list of Mermaid texts from standard input and prints for each "ok", or what the real parser says of it.
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";

const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import("mermaid");

const said = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    await mermaid.parse(text);
    said.push("ok");
  } catch (error) {
    said.push(String(error.message ?? error));
  }
}
console.log(JSON.stringify(said));
