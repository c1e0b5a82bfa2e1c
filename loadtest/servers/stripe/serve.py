"""Runs localstripe on 127.0.0.1, with faults that tests ask for.

It does not know two parameters that Stripe documents (`off_session` of a confirmation,
`automatic_payment_methods` of an intent), so they are left out before it sees them: stripe-mock, which knows all of
them, judges the form of the requests.

    POST /_config/faults    {"path": PART, "kind": "error" | "late" | "silent", "times": N}
    POST /_config/declines  {"method": ID, "code": CODE}: charges of the method are declined for that reason from now on
    GET  /_config/intents   every intent with its status, amount and metadata, and how often it was charged
"""

import asyncio
import sys

from aiohttp import web
from localstripe import resources, server

UNKNOWN = {"off_session", "automatic_payment_methods"}

faults = []
charges = {}
declines = {}

read_data = server.get_post_data


async def known_data(request, remove_auth=True):
    data = await read_data(request, remove_auth)
    return {name: value for name, value in data.items() if name not in UNKNOWN} if data else data


@web.middleware
async def fail(request, handler):
    """Answers as the next fault for this path says, after the work was done."""
    answer = await handler(request)
    for fault in faults:
        if fault["times"] > 0 and fault["path"] in request.path and request.method == "POST":
            fault["times"] -= 1
            if fault["kind"] == "error":
                return web.json_response({"error": {"message": "made up"}}, status=500)
            if fault["kind"] == "late":
                await asyncio.sleep(1)
            if fault["kind"] == "silent":
                request.transport.abort()
    return answer


async def set_fault(request):
    faults.append(await request.json())
    return web.json_response({})


async def set_decline(request):
    decline = await request.json()
    declines[decline["method"]] = decline["code"]
    return web.json_response({})


async def intents(_request):
    found = [value for key, value in resources.store.items() if key.startswith("payment_intent:")]
    rows = [
        {
            "id": intent.id,
            "status": intent.status,
            "amount": intent.amount,
            "currency": intent.currency,
            "metadata": intent.metadata,
            "charges": charges.get(intent.id, 0),
        }
        for intent in found
    ]
    return web.json_response(rows)


def count_charges():
    charge = resources.PaymentIntent._create_charge

    def counted(self, on_failure_now):
        charges[self.id] = charges.get(self.id, 0) + 1
        return charge(self, on_failure_now)

    resources.PaymentIntent._create_charge = counted


def decline_methods():
    """Declines charges of methods as tests ask for, with Stripe's word for the reason."""
    is_declined = resources.PaymentMethod._charging_is_declined
    resources.PaymentMethod._charging_is_declined = lambda self: self.id in declines or is_declined(self)
    told = resources.PaymentIntent.last_payment_error

    def with_reason(self):
        error = told.fget(self)
        code = declines.get(self.payment_method)
        return {**error, "decline_code": code} if error and code else error

    resources.PaymentIntent.last_payment_error = property(with_reason)


def main():
    server.get_post_data = known_data
    # Each server keeps its own things, in memory.
    resources.Store.dump_to_disk = lambda _store: None
    count_charges()
    decline_methods()
    server.app.middlewares.insert(0, fail)
    server.app.router.add_post("/_config/faults", set_fault)
    server.app.router.add_post("/_config/declines", set_decline)
    server.app.router.add_get("/_config/intents", intents)
    web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


main()
