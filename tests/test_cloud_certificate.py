from __future__ import annotations

import builtins
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cloud.certificate import own_certificate
from graphs.errors import UsageError


def test_a_certificate_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = own_certificate(tmp_path / "cloud" / "c.pem", ["worker.example", "192.0.2.7", "::1", "bücher.example"])
    assert path.stat().st_mode & 0o777 == 0o600
    made = path.read_bytes()
    assert own_certificate(path, ["other"]).read_bytes() == made
    assert [each.name for each in path.parent.iterdir()] == ["c.pem"]
    names = x509.load_pem_x509_certificate(made).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["worker.example", "xn--bcher-kva.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "::1"]


def test_workers_that_start_at_once_share_one(tmp_path: Path) -> None:
    found: list[bytes] = []
    begin = threading.Barrier(4)

    def make() -> None:
        begin.wait()
        found.append(own_certificate(tmp_path / "c.pem", ["localhost"]).read_bytes())

    threads = [threading.Thread(target=make) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["c.pem"]


def test_without_the_package_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match="cryptography") as caught:
        own_certificate(tmp_path / "c.pem", ["localhost"])
    assert "graphferry[tls]" in (caught.value.hint or "")
    assert "--tls-cert" in (caught.value.hint or "")
