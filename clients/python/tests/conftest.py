"""The running Plainview that the tests talk to, named by the one who starts them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from plainview import Client


@pytest.fixture(scope="session")
def url() -> str:
    address = os.environ.get("PLAINVIEW_TEST_URL")
    if not address:
        pytest.skip("PLAINVIEW_TEST_URL names no running Plainview")
    return address


@pytest.fixture(scope="session")
def key() -> str:
    return os.environ.get("PLAINVIEW_TEST_KEY", "")


@pytest.fixture
def plant(url: str, key: str) -> Iterator[Client]:
    with Client(url, key) as client:
        yield client


@pytest.fixture
def asset() -> str:
    """An asset that no other test has touched."""
    return f"python/{uuid.uuid4().hex[:12]}"
