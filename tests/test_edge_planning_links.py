"""What a device remembers of the way to a worker: measured over a real link, kept for the URL, and of that worker only."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from edge.ferrying.worker import connect_worker
from edge.offers import heard, keep_offer
from edge.planning.links import keep_link, link_facts
from ferry import Ferry
from graphs.journal import Journal
from protocol.meter import Meter
from workers import worker

URL = "ws://127.0.0.1:1/v1/link"

BIG = """\
version: 0.5
nodes:
  made: {agent: bigAgent, place: edge, params: {bytes: 3000000}}
  there: {agent: lengthAgent, place: cloud, inputs: {of: :made}}
  back: {agent: bigAgent, place: cloud, params: {bytes: 1000000}, inputs: {after: :there}, isResult: true}
"""


def test_the_first_answer_of_a_worker_is_the_round_trip(own_home: Path) -> None:
    with worker(own_home) as served, Journal.open(own_home / "edge" / "journal.db") as journal:

        async def twice() -> None:
            for _ in range(2):
                link = await connect_worker(served.url, token=None, journal=journal)
                await link.close()

        assert link_facts(journal, served.url, 0) is None
        asyncio.run(twice())
        journal.flush()
        facts = link_facts(journal, served.url, 4e9)
        assert facts is not None
        assert facts.rtt is not None
        assert (facts.rtt.source, facts.rtt.n, facts.rtt.value > 0) == ("measured", 2, True)
        assert facts.rtt.age is not None
        assert facts.rtt.age > 0
        assert (facts.up, facts.down) == (None, None), "nothing large went over"
        assert facts.store == served.worker.journal.store_id


def test_large_values_measure_the_width_of_the_way(ferry: Ferry, home: Path) -> None:
    assert ferry(BIG)["status"] == "completed"
    with Journal.open(home / "edge" / "journal.db") as journal:
        (url,) = [key.removeprefix("link ") for key in journal.metas("link ")]
        facts = link_facts(journal, url, 4e9)
        assert facts is not None
        for figure in (facts.up, facts.down):
            assert figure is not None
            assert (figure.source, figure.value > 0) == ("measured", True)
        assert heard(journal, url) is not None


def test_the_newest_measurements_count_and_those_of_another_worker_do_not(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        for number in range(20):
            meter = Meter()
            meter.answered(float(number))
            keep_link(journal, URL, b"worker01", meter, 1_000.0 + number)
            journal.flush()
        facts = link_facts(journal, URL, 1_029.0)
        assert facts is not None
        assert facts.rtt is not None
        assert (facts.rtt.value, facts.rtt.n, facts.rtt.age) == (15.5, 8, 10.0)
        meter = Meter()
        meter.answered(1.0)
        keep_link(journal, URL, b"worker02", meter, 1_030.0)
        keep_link(journal, "ws://other", b"worker02", Meter(), 1_030.0)
        journal.flush()
        other = link_facts(journal, URL, 1_030.0)
        assert other is not None
        assert other.rtt is not None
        assert (other.store, other.rtt.n) == (b"worker02", 1)
        assert link_facts(journal, "ws://other", 0) is None, "nothing was measured"
        assert link_facts(journal, None, 0) is None


def test_an_offer_has_the_time_at_which_this_device_heard_it(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        assert heard(journal, URL) is None
        keep_offer(journal, URL, {"models": {}})
        journal.flush()
        first = heard(journal, URL)
        assert first is not None
        assert abs(first - time.time()) < 3_600, "seconds since 1970"
        assert heard(journal, None) is None
