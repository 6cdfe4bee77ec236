"""Prices of models: what a configuration says, what an offer says, what tokens come to."""

from __future__ import annotations

from typing import Any

import pytest

from graphs.errors import UsageError
from graphs.models.prices import Price, read_price


def test_a_price_is_read_offered_and_counted() -> None:
    price = read_price({"price": {"input": 0.5, "output": 2}}, "models.large")
    assert price == Price(0.5, 2.0)
    assert price.of(1_000_000, 500_000) == pytest.approx(1.5)
    assert Price.of_offer({"context": 1, **price.as_offer()}) == price


def test_without_a_price_there_is_none() -> None:
    assert read_price({"file": "a.gguf"}, "models.a") is None
    assert read_price({"price": {"input": 0, "output": 0}}, "models.a") == Price(0.0, 0.0)


@pytest.mark.parametrize(
    "said", [1, {}, {"input": 1}, {"input": 1, "output": -1}, {"input": "1", "output": 1}, {"input": 1, "output": 1, "more": 1}]
)
def test_what_cannot_be_a_price_is_refused_where_it_stands(said: Any) -> None:
    with pytest.raises(UsageError, match=r"models\.a: `price` is dollars for a million tokens"):
        read_price({"price": said}, "models.a")


@pytest.mark.parametrize(
    "about",
    [{}, {"usd_in": 1}, {"usd_in": True, "usd_out": 1}, {"usd_in": float("nan"), "usd_out": 1}, {"usd_in": "1", "usd_out": 1}],
)
def test_an_offer_that_names_no_price_has_none(about: dict[str, Any]) -> None:
    assert Price.of_offer(about) is None
