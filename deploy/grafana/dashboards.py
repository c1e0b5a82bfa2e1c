#!/usr/bin/env python3
"""Writes the dashboards beside this file: `python3 deploy/grafana/dashboards.py`. With --check, it writes nothing and
fails if a file is not what it would write."""

import json
import pathlib
import sys

WIDTH, HEIGHT = 8, 8
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def rate(metric, by="", where=""):
    """The sum of a counter's rate, per second."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{where}[$__rate_interval]))"


def quantile(q, histogram, by=""):
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket[$__rate_interval])))"


def panel(title, *queries, unit="short", meaning="", kind="timeseries"):
    """A panel; a query is PromQL, or a pair of PromQL and legend."""
    targets = []
    for place, query in enumerate(queries):
        expression, legend = query if isinstance(query, tuple) else (query, "")
        targets.append({"refId": chr(65 + place), "expr": expression, "legendFormat": legend, "datasource": DATASOURCE})
    return {
        "title": title,
        "description": meaning,
        "type": kind,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
    }


def number(title, query, **options):
    return panel(title, query, kind="stat", **options)


def dashboard(uid, title, *panels):
    for place, one in enumerate(panels):
        one["id"] = place + 1
        row, column = divmod(place, 3)
        one["gridPos"] = {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": row * HEIGHT}
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "tags": ["tollgate"],
        "schemaVersion": 39,
        "timezone": "",
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": list(panels),
    }


FAILED = '{status=~"5.."}'

GATEWAY = dashboard(
    "tollgate-gateway",
    "Tollgate: gateway",
    panel("Requests by route", (rate("tollgate_http_requests_total", "route"), "{{route}}"), unit="reqps"),
    panel("Requests by status", (rate("tollgate_http_requests_total", "status"), "{{status}}"), unit="reqps"),
    panel(
        "Share of failed requests",
        f"({rate('tollgate_http_requests_total', where=FAILED)} or vector(0)) / {rate('tollgate_http_requests_total')}",
        unit="percentunit",
        meaning="Answers with a status of 5xx. The objective is at most 0.05 % over 30 days.",
    ),
    panel(
        "Time until the answer has ended",
        (quantile(0.5, "tollgate_http_request_seconds", "route"), "{{route}} half"),
        (quantile(0.99, "tollgate_http_request_seconds", "route"), "{{route}} 99 %"),
        unit="s",
    ),
    panel(
        "Time that the gateway adds",
        (quantile(0.5, "tollgate_http_admission_seconds"), "half"),
        (quantile(0.99, "tollgate_http_admission_seconds"), "99 %"),
        unit="s",
        meaning="From the request's header to the choice of a server: identify, route, limit.",
    ),
    panel("Requests in progress", ("sum by (instance) (tollgate_http_requests_in_flight)", "{{instance}}")),
    panel(
        "Connections of clients",
        ("sum by (instance) (tollgate_http_connections)", "{{instance}}"),
        ('sum by (instance) (tollgate_connections_limit{listener="clients"})', "{{instance}} most"),
    ),
    panel(
        "Connections refused or closed by the gateway",
        (rate("tollgate_connections_refused_total", "reason"), "refused: {{reason}}"),
        (rate("tollgate_connections_closed_total", "reason"), "closed: {{reason}}"),
        unit="ops",
    ),
    panel(
        "Refusals by reason",
        (rate("tollgate_refusals_total", "reason"), "{{reason}}"),
        unit="reqps",
        meaning="Requests that the gateway itself refused, as rate_limited.",
    ),
    panel(
        "Healthy servers by upstream",
        ("max by (upstream) (tollgate_upstream_servers_healthy)", "{{upstream}}"),
        ("max by (upstream) (tollgate_upstream_servers)", "{{upstream}} all"),
    ),
    panel(
        "Retries and breakers",
        (rate("tollgate_upstream_retries_total", "upstream"), "{{upstream}} retried"),
        (f"{rate('tollgate_upstream_breaker_refused_total', 'upstream')} or vector(0)", "{{upstream}} refused by its breaker"),
        unit="reqps",
    ),
    panel("Age of the catalog", ("max by (instance) (tollgate_catalog_staleness_seconds)", "{{instance}}"), unit="s"),
    panel(
        "Token bank: calls and time",
        (rate("tollgate_bank_trips_total"), "calls a second"),
        (quantile(0.99, "tollgate_bank_round_trip_seconds"), "seconds, 99 %"),
    ),
    panel("Processor", (rate("process_cpu_seconds_total", "instance", '{job="tollgate-gateway"}'), "{{instance}}"), unit="short"),
    panel("Memory", ('process_resident_memory_bytes{job="tollgate-gateway"}', "{{instance}}"), unit="bytes"),
)

USAGE = dashboard(
    "tollgate-usage",
    "Tollgate: usage pipeline",
    panel(
        "Entries: recorded, acknowledged, booked",
        (rate("tollgate_journal_appended_total"), "recorded by gateways"),
        (rate("tollgate_journal_acknowledged_total"), "acknowledged to gateways"),
        (rate("tollgate_ingest_entries_total", "outcome"), "booked: {{outcome}}"),
        unit="ops",
    ),
    panel("Entries that wait in journals", ("sum by (instance) (tollgate_journal_entries)", "{{instance}}")),
    panel("Age of the oldest entry", ("max by (instance) (tollgate_journal_oldest_seconds)", "{{instance}}"), unit="s"),
    panel("Disk of journals", ("sum by (instance) (tollgate_journal_bytes)", "{{instance}} waits"), ("sum by (instance) (tollgate_spool_bytes)", "{{instance}} spool"), unit="bytes"),
    panel("Sink away", ("max by (instance) (tollgate_sink_away)", "{{instance}}"), (rate("tollgate_sink_failures_total"), "failures a second")),
    panel("Messages that wait in Kafka", ("max by (partition) (tollgate_ingest_lag_messages)", "{{partition}}")),
    panel(
        "Time to book",
        (quantile(0.99, "tollgate_ingest_transaction_seconds"), "a transaction from Kafka, 99 %"),
        unit="s",
    ),
    number("Open gaps", "max(tollgate_usage_open_gaps)", meaning="Numbers of streams that are neither filled nor accepted."),
    number("Lost lives of gateways", "max(tollgate_usage_lost_lives)"),
    number("Dead letters", "max(tollgate_usage_unresolved_dead_letters)"),
    panel(
        "Usage lost, set aside, or not recorded",
        (rate("tollgate_usage_lost_entries_total"), "lost"),
        (rate("tollgate_usage_quarantined_entries_total"), "set aside"),
        (rate("tollgate_unmetered_requests_total"), "served unmetered"),
        (rate("tollgate_journal_unreadable_slots_total"), "unreadable"),
        unit="ops",
    ),
    panel("Store down", ("max by (job, instance) (tollgate_store_down)", "{{job}} {{instance}}")),
)

MONEY = dashboard(
    "tollgate-money",
    "Tollgate: money",
    number(
        "Last invoice finalized",
        "max(tollgate_invoices_last_finalized_timestamp_seconds) * 1000",
        unit="dateTimeFromNow",
    ),
    number("Tenants refused for an unpaid invoice", "max(tollgate_unpaid_tenants)"),
    number("Events of payment providers that wait", "max(tollgate_payment_events_unhandled)"),
    panel("Attempts to collect, of 24 hours", ("max by (status) (tollgate_payment_attempts_recent)", "{{status}}")),
    panel("Runs of jobs", (rate("tollgate_job_runs_total", "kind, outcome"), "{{kind}} {{outcome}}"), unit="ops"),
    number("Jobs stuck", "max(tollgate_jobs_stuck)"),
    panel("Outbox: messages that wait", ("max by (kind) (tollgate_outbox_pending)", "{{kind}}")),
    panel("Outbox: age of the oldest", ("max by (kind) (tollgate_outbox_age_seconds)", "{{kind}}"), unit="s"),
    panel("Outbox: tries", (rate("tollgate_outbox_tries_total", "kind, outcome"), "{{kind}} {{outcome}}"), unit="ops"),
    panel("Business API: requests", (rate("tollgate_api_requests_total", "status"), "{{status}}"), unit="reqps"),
    panel("Business API: time", (quantile(0.99, "tollgate_api_request_seconds", "route"), "{{route}} 99 %"), unit="s"),
    panel("Quotas that were seen to be used", (rate("tollgate_usage_threshold_events_total", "percent"), "{{percent}} %"), unit="ops"),
)

TENANTS = dashboard(
    "tollgate-tenants",
    "Tollgate: tenants",
    panel(
        "Requests of the largest tenants",
        (rate("tollgate_tenant_requests_total", "tenant"), "{{tenant}}"),
        unit="reqps",
        meaning="The 20 tenants with the most requests since the start of each gateway.",
    ),
    panel(
        "Refusals of the most refused tenants",
        (rate("tollgate_tenant_refusals_total", "tenant"), "{{tenant}}"),
        unit="reqps",
    ),
    panel("Refusals by reason", (rate("tollgate_refusals_total", "reason"), "{{reason}}"), unit="reqps"),
    panel(
        "Share of the largest tenant",
        f"max({rate('tollgate_tenant_requests_total', 'tenant')}) / {rate('tollgate_journal_appended_total')}",
        unit="percentunit",
    ),
)

DASHBOARDS = {"gateway": GATEWAY, "usage": USAGE, "money": MONEY, "tenants": TENANTS}


def main():
    here, stale = pathlib.Path(__file__).parent, []
    for name, content in DASHBOARDS.items():
        file, text = here / f"{name}.json", json.dumps(content, indent=1) + "\n"
        if "--check" in sys.argv:
            stale += [] if file.exists() and file.read_text() == text else [file.name]
        else:
            file.write_text(text)
    if stale:
        sys.exit(f"not as dashboards.py makes them: {', '.join(stale)}; run python3 deploy/grafana/dashboards.py")


if __name__ == "__main__":
    main()
