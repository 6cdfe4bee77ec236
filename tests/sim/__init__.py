"""Deterministic simulation of whole systems: devices, workers, disks, the network and clocks, all in virtual time, all from one seed.

    python -m tests.sim --seed 77                  one schedule; --trace prints what happened
    python -m tests.sim --seed 1 --count 100000    many; each failure is made smaller, and printed with the command to play it again
    python -m tests.sim --kind every ...           some of each kind (make sim); --processes N plays in several

What is real: the runner and the delegate of the device, the server and the child runs of the worker, its lease and epoch, the engine, the link and
its session, the WebSocket library, the journal on SQLite files. What is simulated is beneath them:

    loop      an asyncio loop a process, in virtual time; threads' work is done at some moment of the loop
    net       TCP: late, in pieces, cut at any byte, refused, swallowed, held back; behind `create_connection` and `create_server`
    bodies    large values in their files, watched: nothing that is here is fetched again
    disk      when a commit happens and when it is known to be synced; what a loss of power leaves of the rest; a full disk, of bodies, too
    world     whose turn it is, machines and processes, clocks and dice; a process that is killed runs nothing any more
    graphs    small random graphs with places, loops, maps, streams, large values and nodes with effects, whose answer does not depend on time
    faults    kill, power, cut, block, sleep, full disk, a lost body, another network, cancel and more, each at the n-th time something happens
              at a machine
    play      the users, who resume until their run is over, and the supervisor of the workers
    checks    what must hold afterwards
    shrink    leaves out faults and machines for as long as a schedule fails in the same way
    found     schedules that once failed
    mutants   bugs planted in the product that the simulation has to find: the test of the test
    kinds     all kinds of schedules, by name
    people    schedules in which somebody is asked
    fleet     several devices of an account, and a run that moves between them and the worker
    paired    devices that have to be paired, lose their access, and are paired again; TLS is not played, its bytes are the library's affair
    large     values that go in many portions, and faults between those
    limited   a worker that takes few bytes a second and few connections a minute
    side_by_side  two processes of one device, with one journal, at one worker
    taken     a process of a device that loses its run to another one while it lives
    workers   a worker's store that another process takes over while the first still lives; an account with two workers

What holds after every schedule: the answer is the undisturbed one, or the run failed as the undisturbed one does, or a person is asked about a node
with effects (only if a process ended or lost its journal), or the user cancelled; no command hangs; no node with effects began twice; both
journals agree and no result is recorded twice; no process records anything in a log in which another one of its machine has recorded something
since; no child run stays open at a worker, at the latest after the week it waits for its device; no error is logged, no exception is lost; neither
side ever breaks a rule of the link; nothing of a body is fetched again that is here.

The trace of a seed, bytes on the wire included, is the same in every process. It changes with the product: a seed that failed is only as good
as the commit it failed on, which is why `found` has schedules and not seeds.
"""
