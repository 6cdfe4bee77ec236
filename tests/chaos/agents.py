"""The agents of the chaos graphs, as a module for --agents: they log each execution to a file before they do it, nodes with effects their values."""

AGENTS = '''
import asyncio, hashlib, json, os, signal
from graphferry import agent


def say(context, word, value=None):
    line = f"{word} {context.path} {os.getpid()} {json.dumps(value)}\\n".encode()
    log = os.open(context.params["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(log, line)
    finally:
        os.close(log)


@agent("workAgent", effect="none")
async def work(context):
    """Its value depends on its inputs alone."""
    say(context, "work")
    await asyncio.sleep(0.002)
    return {"of": context.inputs, "at": context.node_id}


@agent("songAgent", effect="none", stream=True)
async def song(context):
    say(context, "song")
    words = [f"{number} " for number in range(60)]
    for word in words:
        context.stream(word)
        await asyncio.sleep(0.001)
    return "".join(words)


@agent("bulkAgent", effect="none")
async def bulk(context):
    """A value that does not fit a record: a body, pulled by whoever reads it."""
    say(context, "bulk")
    return "".join(f"{number:7d}\\n" for number in range(context.params["size"] // 8))


@agent("digestAgent", effect="none")
async def digest(context):
    """Small, and different if one byte of the large value is."""
    say(context, "digest")
    return hashlib.sha256(context.inputs["of"].encode()).hexdigest()


@agent("deedAgent", effect="once")
async def deed(context):
    """What must never happen twice."""
    value = {"done": context.inputs}
    say(context, "deed", value)
    try:
        os.unlink(f"doom-{context.node_id}")
    except FileNotFoundError:
        await asyncio.sleep(0.02)
    else:
        os.kill(os.getpid(), signal.SIGKILL)  # in the middle of it
    return value
'''

GRAPH = """\
version: 0.5
nodes:
  start: {{value: {{n: 1}}}}
  a: {{agent: workAgent, params: {{log: {log}}}, place: cloud, inputs: {{x: :start}}}}
  b: {{agent: workAgent, params: {{log: {log}}}, place: edge, inputs: {{x: :a}}}}
  paid: {{agent: deedAgent, params: {{log: {log}}}, place: cloud, inputs: {{x: :b.at}}}}
  song: {{agent: songAgent, params: {{log: {log}}}, place: cloud, isResult: true, inputs: {{x: :a}}}}
  rows:
    agent: mapAgent
    inputs: {{rows: [1, 2, 3, 4]}}
    graph:
      nodes:
        far: {{agent: workAgent, params: {{log: {log}}}, place: cloud, inputs: {{x: :row}}}}
        near: {{agent: workAgent, params: {{log: {log}}}, place: edge, isResult: true, inputs: {{x: :far}}}}
  sent: {{agent: deedAgent, params: {{log: {log}}}, place: edge, inputs: {{x: :paid}}}}
  c: {{agent: workAgent, params: {{log: {log}}}, place: cloud, inputs: {{x: :sent, y: :rows, z: :song}}}}
  d: {{agent: workAgent, params: {{log: {log}}}, place: edge, inputs: {{x: :c}}}}
  up: {{agent: bulkAgent, params: {{log: {log}, size: 150000}}, place: edge, inputs: {{x: :a}}}}
  down: {{agent: bulkAgent, params: {{log: {log}, size: 400000}}, place: cloud, inputs: {{x: :a}}}}
  there: {{agent: digestAgent, params: {{log: {log}}}, place: cloud, inputs: {{of: :up}}}}
  here: {{agent: digestAgent, params: {{log: {log}}}, place: edge, inputs: {{of: :down}}}}
  end: {{agent: workAgent, params: {{log: {log}}}, place: cloud, isResult: true, inputs: {{x: :d, y: :paid, z: [:there, :here]}}}}
"""
"""Both sides by turns, a map across the cut, a stream, two nodes with effects, and a large value in each direction."""

MOVING = """\
version: 0.5
nodes:
  start: {{value: {{n: 1}}}}
  a: {{agent: workAgent, params: {{log: {log}}}, place: cloud, inputs: {{x: :start}}}}
  b: {{agent: workAgent, params: {{log: {log}}}, place: edge, inputs: {{x: :a}}}}
  paid: {{agent: deedAgent, params: {{log: {log}}}, place: cloud, inputs: {{x: :b.at}}}}
  song: {{agent: songAgent, params: {{log: {log}}}, place: edge, inputs: {{x: :a}}}}
  rows:
    agent: mapAgent
    inputs: {{rows: [1, 2]}}
    graph:
      nodes:
        far: {{agent: workAgent, params: {{log: {log}}}, place: cloud, inputs: {{x: :row}}}}
        near: {{agent: workAgent, params: {{log: {log}}}, place: edge, isResult: true, inputs: {{x: :far}}}}
  ok: {{agent: humanAgent, inputs: {{draft: :paid}}, params: {{mode: approve, prompt: Send it?}}}}
  sent: {{agent: deedAgent, params: {{log: {log}}}, place: edge, inputs: {{x: :ok.approved, y: :song}}}}
  up: {{agent: bulkAgent, params: {{log: {log}, size: 150000}}, place: edge, inputs: {{x: :b}}}}
  down: {{agent: bulkAgent, params: {{log: {log}, size: 300000}}, place: cloud, inputs: {{x: :a}}}}
  there: {{agent: digestAgent, params: {{log: {log}}}, place: cloud, inputs: {{of: :up}}}}
  here: {{agent: digestAgent, params: {{log: {log}}}, place: edge, inputs: {{of: :down}}}}
  told: {{agent: deedAgent, params: {{log: {log}}}, place: cloud, inputs: {{x: :sent, y: :rows}}}}
  end: {{agent: workAgent, params: {{log: {log}}}, place: edge, isResult: true, inputs: {{x: :told, y: [:there, :here], z: :paid}}}}
"""
"""For runs that move: what only a device does, what only a worker does, effects on both sides, a question, and large values both ways."""
