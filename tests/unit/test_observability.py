import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator

import aiohttp
import orjson
import pytest

from eventsource_operator.observability.health import HealthServer
from eventsource_operator.observability.logging import set_level, setup_logging
from eventsource_operator.observability.metrics import Metrics


@pytest.fixture
def restored() -> Iterator[None]:
    """The process's logging as it was before."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    names = ["kopf", "kopf.objects", "aiohttp", "aiohttp.access", "asyncio", "urllib3", "kubernetes"]
    levels = {name: logging.getLogger(name).level for name in [*names, "kubernetes.aio.leaderelection"]}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, number in levels.items():
        logging.getLogger(name).setLevel(number)


def fail(message: str) -> None:
    raise ValueError(message)


@pytest.mark.usefixtures("restored")
def test_json_lines_hold_the_extra_fields_and_nothing_else() -> None:
    stream = io.StringIO()
    setup_logging("json", "info", stream)
    logging.getLogger("eventsource_operator.x").info(
        "sent\nforged %s",
        "\x1b[31m",
        extra={"source": "a/b", "event_id": "e1", "attempt": 2, "payload": "secret"},
    )
    (line,) = stream.getvalue().splitlines()
    got = orjson.loads(line)
    assert got.pop("ts").endswith("Z")
    assert got == {
        "level": "info",
        "logger": "eventsource_operator.x",
        "msg": "sent\\nforged \\x1b[31m",
        "source": "a/b",
        "event_id": "e1",
        "attempt": 2,
    }


@pytest.mark.usefixtures("restored")
def test_text_lines_cannot_be_forged_not_even_by_a_traceback() -> None:
    stream = io.StringIO()
    setup_logging("text", "info", stream)
    log = logging.getLogger("eventsource_operator.x")
    try:
        fail("bad\n2026-01-01T00:00:00.000Z INFO fake\u202e")
    except ValueError:
        log.exception("failed\r\nINFO fake", extra={"object": "cm\n2"})
    lines = stream.getvalue().splitlines()
    assert "failed\\r\\nINFO fake object=cm\\n2" in lines[0]
    assert len(lines) > 3
    assert all(line.startswith(" | ") for line in lines[1:])
    assert "\u202e" not in stream.getvalue()


@pytest.mark.usefixtures("restored")
def test_a_json_line_with_a_traceback_is_one_line() -> None:
    stream = io.StringIO()
    setup_logging("json", "info", stream)
    try:
        fail("bad")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: bad" in orjson.loads(line)["exc"]


@pytest.mark.usefixtures("restored")
def test_libraries_stay_quieter_than_the_operator() -> None:
    stream = io.StringIO()
    setup_logging("text", "INFO", stream)
    logging.getLogger("kopf.activities").info("chatter")
    logging.getLogger("kopf.objects").info("chatter")
    logging.getLogger("aiohttp.access").info("chatter")
    logging.getLogger("kubernetes.aio.leaderelection.leaderelection").error("each two seconds")
    assert stream.getvalue() == ""
    logging.getLogger("kopf.activities").warning("trouble")
    assert "trouble" in stream.getvalue()
    set_level("error")
    logging.getLogger("kopf.activities").warning("not any more")
    logging.getLogger("eventsource_operator").warning("nor this")
    assert "not any more" not in stream.getvalue()
    assert "nor this" not in stream.getvalue()


def lines_of(metrics: Metrics) -> dict[str, float]:
    text = metrics.exposition().decode()
    pairs = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in pairs if name.startswith("eventsource_operator_")}


def test_metrics_have_the_names_of_the_design() -> None:
    metrics = Metrics()
    source = metrics.source("team-a/app")
    source.change()
    source.change(2)
    source.delivered(0.0015, 1_700_000_000.5)
    source.delivered(0.1, 1_700_000_001.5, "absorbed")
    source.result("retried")
    source.result("failed")
    source.pending.set(3)
    source.bindings.set(2)
    metrics.leader.set(1)
    metrics.old_state_bytes.set(10)
    metrics.checkpoint_writes.inc()
    metrics.watch_restarted("configmaps", "Gone")
    got = lines_of(metrics)
    label = '{source="team-a/app"}'
    prefix = "eventsource_operator_"
    assert got[f"{prefix}changes_total{label}"] == 3
    for result in ("delivered", "absorbed", "retried", "failed"):
        assert got[f'{prefix}deliveries_total{{result="{result}",source="team-a/app"}}'] == 1
    assert got[f'{prefix}delivery_seconds_bucket{{le="0.001"}}'] == 0
    assert got[f'{prefix}delivery_seconds_bucket{{le="0.002"}}'] == 1
    assert got[f"{prefix}delivery_seconds_count"] == 2
    assert got[f"{prefix}pending{label}"] == 3
    assert got[f"{prefix}bindings{label}"] == 2
    assert got[f"{prefix}last_delivery_timestamp_seconds{label}"] == 1_700_000_001.5
    assert got[f'{prefix}watch_restarts_total{{reason="Gone",resource="configmaps"}}'] == 1
    assert (got[f"{prefix}leader"], got[f"{prefix}old_state_bytes"]) == (1, 10)
    assert got[f"{prefix}checkpoint_writes_total"] == 1
    assert any(name.startswith(f"{prefix}build_info") for name in got)
    assert not any("_created" in name for name in got)


def test_a_source_that_is_gone_leaves_no_series_behind() -> None:
    metrics = Metrics()
    before = set(lines_of(metrics))
    for name in ("a/a", "a/b"):
        metrics.source(name).delivered(1, 1)
    late = metrics.source("a/a")
    metrics.forget("a/a")
    late.delivered(1, 2)
    metrics.forget("a/a")
    after = set(lines_of(metrics))
    assert not [name for name in after if "a/a" in name]
    assert [name for name in after if "a/b" in name]
    metrics.forget("a/b")
    assert set(lines_of(metrics)) == before


def test_a_new_source_starts_at_zero_and_is_bound_once() -> None:
    metrics = Metrics()
    assert metrics.source("a/a") is metrics.source("a/a")
    assert lines_of(metrics)['eventsource_operator_deliveries_total{result="failed",source="a/a"}'] == 0


def test_bindings_that_were_never_listed_are_not_none() -> None:
    """The alert that nobody listens must not fire while nobody knows."""
    metrics = Metrics()
    metrics.source("a/a").pending.set(0)
    assert not [name for name in lines_of(metrics) if "_bindings{" in name]
    metrics.source("a/a").bindings.set(0)
    assert lines_of(metrics)['eventsource_operator_bindings{source="a/a"}'] == 0


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def test_health_server_answers_as_the_probes_say(session: aiohttp.ClientSession) -> None:
    state = {"healthy": (True, "ok"), "ready": (False, "no leader yet")}
    metrics = Metrics()
    metrics.source("a/a").change()
    server = HealthServer(
        "127.0.0.1", 0, healthy=lambda: state["healthy"], ready=lambda: state["ready"], metrics=metrics
    )
    port = await server.start()
    base = f"http://127.0.0.1:{port}"
    try:
        for path, status, text in (("/healthz", 200, "ok\n"), ("/readyz", 503, "no leader yet\n")):
            async with session.get(base + path) as answer:
                assert (answer.status, await answer.text()) == (status, text)
        state["ready"] = (True, "leading")
        async with session.get(base + "/readyz") as answer:
            assert answer.status == 200
        async with session.get(base + "/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert 'eventsource_operator_changes_total{source="a/a"} 1.0' in await answer.text()
        async with session.post(base + "/healthz") as answer:
            assert answer.status == 405
        with pytest.raises(OSError, match="address already in use"):
            await HealthServer(
                "127.0.0.1", port, healthy=lambda: (True, ""), ready=lambda: (True, ""), metrics=metrics
            ).start()
    finally:
        await server.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        async with asyncio.timeout(5), session.get(base + "/healthz"):
            pass
