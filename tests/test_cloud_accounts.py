from __future__ import annotations

from typing import Any

import pytest

from cloud.accounts import DAY_MS, DEFAULT, Account, read_accounts
from graphs.errors import UsageError

HASH = "sha256:" + "ab" * 32


def test_there_is_always_a_default_account_that_is_cleared_for_nothing() -> None:
    for data in (None, {}, {"alice": None}):
        account = read_accounts(data, "w.yaml")[DEFAULT]
        assert account.clear(())
        assert not account.clear({"pii"})
        assert account.allows("anything")
        assert (account.runs, account.retention_ms, account.unfetched_ms, account.token_ms) == (None, 30 * DAY_MS, None, None)


def test_everything_that_is_said_is_taken() -> None:
    entry = {
        "clearance": ["internal", "pii"],
        "models": "large",
        "quota": {"runs": 8, "disk": "2GiB"},
        "retention": "7d",
        "unfetched": "365d",
        "tokens_last": "12h",
        "tokens": {"ci": HASH.upper().replace("SHA256", "sha256")},
    }
    assert read_accounts({"alice": entry}, "w.yaml")["alice"] == Account(
        "alice",
        clearance=frozenset({"internal", "pii"}),
        models=frozenset({"large"}),
        runs=8,
        disk=2 << 30,
        retention_ms=7 * DAY_MS,
        unfetched_ms=365 * DAY_MS,
        token_ms=DAY_MS // 2,
        tokens={"ci": HASH},
    )


def test_all_labels_of_a_value_have_to_be_cleared() -> None:
    account = Account(clearance=frozenset({"internal"}))
    assert account.clear(["internal"])
    assert not account.clear(["internal", "pii"])


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("1.5 kib", 1536), (4096, 4096), ("1TiB", 1 << 40), ("10 B", 10), ("2gb", 2 * 10**9)],
)
def test_sizes(text: Any, size: int) -> None:
    assert read_accounts({"a": {"quota": {"disk": text}}}, "w")["a"].disk == size


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "`accounts` is a map of names"),
        ({"": {}}, "'' is no name"),
        ({7: {}}, "7 is no name"),
        ({"a b": {}}, "'a b' is no name"),
        ({"a": []}, "accounts.a: expected a map of"),
        ({"a": {"model": 1}}, "accounts.a: unknown entry 'model'"),
        ({"a": {"quota": {"ram": 1}}}, "accounts.a.quota: unknown entry 'ram'"),
        ({"a": {"quota": {"runs": 0}}}, "accounts.a.quota.runs: a number from 1"),
        ({"a": {"quota": {"runs": True}}}, "accounts.a.quota.runs"),
        ({"a": {"quota": {"disk": "much"}}}, "accounts.a.quota.disk: 'much' is no size"),
        ({"a": {"quota": {"disk": True}}}, "accounts.a.quota.disk"),
        ({"a": {"retention": 30}}, "accounts.a.retention: 30 is no span"),
        ({"a": {"clearance": [7]}}, "accounts.a.clearance: a list of words"),
        ({"a": {"models": {}}}, "accounts.a.models: a list of words"),
        ({"a": {"tokens": [HASH]}}, "accounts.a.tokens: a map"),
        ({"a": {"tokens": {"ci": HASH}}, "b": {"tokens": {"cd": HASH}}}, "accounts.a.tokens.ci has the same token"),
    ],
)
def test_a_mistake_names_the_entry(data: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_accounts(data, "w.yaml")
    assert told in str(caught.value)
    assert "w.yaml" in str(caught.value)


def test_a_token_where_a_hash_belongs_is_not_repeated() -> None:
    with pytest.raises(UsageError, match="the hash of a token is expected") as caught:
        read_accounts({"a": {"tokens": {"ci": "CANARY-token"}}}, "w.yaml")
    assert "CANARY" not in str(caught.value)
    assert "ab" * 8 not in repr(Account(tokens={"ci": HASH}))
