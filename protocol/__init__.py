"""The wire between a device and a worker: messages, codec, pure session, websocket transport.

Empty on purpose: importing one pure module of this package must not import an impure one.
"""

__distribution__ = "graphferry"
