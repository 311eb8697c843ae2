import importlib.util

import pytest

from skipln.data.text.demo import wheels
from skipln.data.text.demo.catalogs import LOCK
from skipln.errors import UserError
from tests.data.text.conftest import Registry


def test_the_committed_lock_pins_eight_wheels_and_names_no_address() -> None:
    assert len(wheels.pins(LOCK)) == 8
    assert "://" not in LOCK.read_text("utf-8")


def test_wheels_are_fetched_only_once(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    found = wheels.fetch(registry.lock, registry.cache)
    assert [path.name for path in found] == [path.name for path in registry.wheels]
    assert [wheels.licence(path) for path in found] == ["MIT", "MIT"]
    monkeypatch.setattr(wheels, "download", lambda *_: pytest.fail("fetched again"))
    assert wheels.fetch(registry.lock, registry.cache) == found


def test_a_damaged_wheel_is_fetched_again(registry: Registry) -> None:
    first, _ = wheels.fetch(registry.lock, registry.cache)
    content = first.read_bytes()
    first.write_bytes(content[:-10])
    stranger = registry.cache / "mine-2.0-py3-none-any.whl"
    stranger.write_bytes(b"somebody's own")
    assert wheels.fetch(registry.lock, registry.cache)[0].read_bytes() == content
    assert stranger.exists()


def test_a_wheel_that_stays_wrong_is_an_error(registry: Registry) -> None:
    registry.wheels[1].write_bytes(registry.wheels[0].read_bytes())
    with pytest.raises(UserError, match=r"could not fetch .*pear==1\.0.*start again$"):
        wheels.fetch(registry.lock, registry.cache)


def test_an_unreachable_registry_is_one_line(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(UserError, match=r"could not fetch apple==1\.0, pear==1\.0 \(.+\); check that pip") as caught:
        wheels.fetch(registry.lock, registry.cache)
    assert "\n" not in str(caught.value)


def test_a_missing_pip_is_an_error_with_a_remedy(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="ensurepip"):
        wheels.fetch(registry.lock, registry.cache)


def test_wheels_copied_by_hand_need_no_registry(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "download", lambda *_: pytest.fail("fetched"))
    assert wheels.fetch(registry.lock, registry.folder) == registry.wheels
