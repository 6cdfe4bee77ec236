"""The agents of the chaos graph, as a module for --agents: they log each execution to a file before and after what they do."""

AGENTS = '''
import asyncio, os, signal
from graphferry import agent


def say(context, word):
    line = f"{word} {context.path} {os.getpid()}\\n".encode()
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


@agent("deedAgent", effect="once")
async def deed(context):
    """What must never happen twice."""
    say(context, "deed")
    try:
        os.unlink(f"doom-{context.node_id}")
    except FileNotFoundError:
        await asyncio.sleep(0.02)
    else:
        os.kill(os.getpid(), signal.SIGKILL)  # in the middle of it
    return {"done": context.inputs}
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
  end: {{agent: workAgent, params: {{log: {log}}}, place: cloud, isResult: true, inputs: {{x: :d, y: :paid}}}}
"""
"""Both sides by turns, a map across the cut, a stream, and two nodes with effects."""
