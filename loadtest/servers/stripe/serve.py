"""Runs localstripe on 127.0.0.1, with faults that tests ask for.

It does not know two parameters that Stripe documents (`off_session` of a confirmation,
`automatic_payment_methods` of an intent), so they are left out before it sees them: stripe-mock, which knows all of
them, judges the form of the requests.

    POST /_config/faults    {"path": PART, "kind": "error" | "late" | "silent", "times": N}
    POST /_config/declines  {"method": ID, "code": CODE}: charges of the method are declined for that reason from now on
    GET  /_config/intents   every intent with its status, amount and metadata, and how often it was charged

It has no disputes, no automatic payouts and no Checkout, so they are added here, with the members that Stripe's OpenAPI
document asks for:

    PUT  /_config/things    a dispute, payout or Checkout session, as Stripe would answer; the event that it is told with
                            in `event`, if any
    PUT  /_config/movements {"payout": ID, "movements": [...]}: what a payout consists of
    POST /_config/pay/{id}  pays the Checkout session as its payer would, with {"method": ID}
"""

import asyncio
import re
import sys
import time

from aiohttp import web
from localstripe import errors, resources, server, webhooks

UNKNOWN = {"off_session", "automatic_payment_methods"}

faults = []
charges = {}
things = {}
movements = {}
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


async def put_thing(request):
    thing = await request.json()
    event = thing.pop("event", None)
    things[thing["id"]] = thing
    if event:
        webhooks.schedule_webhook(Told(event, thing))
    return web.json_response(thing)


async def put_movements(request):
    body = await request.json()
    movements[body["payout"]] = body["movements"]
    return web.json_response({})


class Told:
    """An event about a thing that localstripe does not know."""

    def __init__(self, kind, thing):
        self.id = f"evt_{resources.random_id(24)}"
        self.created = int(time.time())
        self.type = kind
        self.thing = thing

    def _export(self, expand=None):
        return {"id": self.id, "object": "event", "type": self.type, "data": {"object": self.thing}}


def missing(name):
    error = {"type": "invalid_request_error", "code": "resource_missing", "message": f"No such object: {name}"}
    return web.json_response({"error": error}, status=404)


async def get_thing(_request, name):
    return web.json_response(public(things[name])) if name in things else missing(name)


def public(thing):
    return {name: value for name, value in thing.items() if not name.startswith("_")}


def page_of(request, found):
    """A page of a list, the newest first."""
    after, limit = request.query.get("starting_after"), int(request.query.get("limit", 10))
    names = [thing["id"] for thing in found]
    begin = names.index(after) + 1 if after in names else 0
    page = found[begin : begin + limit]
    has_more = begin + limit < len(found)
    data = [public(thing) for thing in page]
    return web.json_response({"object": "list", "url": request.path, "has_more": has_more, "data": data})


def list_things(prefix):
    async def list_all(request, _name):
        since = int(request.query.get("created[gte]", 0))
        found = [thing for name, thing in things.items() if name.startswith(prefix) and thing["created"] >= since]
        return page_of(request, list(reversed(found)))

    return list_all


async def list_movements(request, _name):
    return page_of(request, movements.get(request.query["payout"], []))


sessions_by_key = {}


async def make_session(request, _name):
    data = await read_data(request)
    key = request.headers.get("Idempotency-Key")
    if key in sessions_by_key:
        return web.json_response(public(things[sessions_by_key[key]]))
    name = f"cs_{resources.random_id(24)}"
    url = f"http://{request.host}/pay/{name}"
    session = {"id": name, "object": "checkout.session", "url": url, "status": "open", "payment_intent": None,
               "setup_intent": None, "created": 0, "metadata": data.get("metadata", {})}
    things[name] = {**session, "_data": data}
    if key:
        sessions_by_key[key] = name
    return web.json_response(session)


async def expire_session(_request, name):
    session = things[name]
    if session["status"] != "open":
        return web.json_response({"error": {"message": "It is not open."}}, status=400)
    session["status"] = "expired"
    return web.json_response(public(session))


async def pay_session(request):
    session, method = things[request.match_info["id"]], (await request.json())["method"]
    data = session["_data"]
    price = data["line_items"][0]["price_data"]
    try:
        intent = resources.PaymentIntent._api_create(
            amount=price["unit_amount"], currency=price["currency"], customer=data["customer"], payment_method=method,
            metadata=data["payment_intent_data"]["metadata"], confirm="true",
        )
    except errors.UserError as error:
        return web.json_response({"status": "declined", "error": str(error)})
    if intent.status == "succeeded":
        session["status"], session["payment_intent"] = "complete", intent.id
    return web.json_response({"intent": intent.id, "status": intent.status})


ADDED = [
    ("GET", r"/v1/disputes/(\w+)", get_thing),
    ("GET", r"/v1/disputes()", list_things("dp_")),
    ("GET", r"/v1/payouts/(\w+)", get_thing),
    ("GET", r"/v1/payouts()", list_things("po_")),
    ("GET", r"/v1/balance_transactions()", list_movements),
    ("POST", r"/v1/checkout/sessions()", make_session),
    ("GET", r"/v1/checkout/sessions/(\w+)", get_thing),
    ("POST", r"/v1/checkout/sessions/(\w+)/expire", expire_session),
]


@web.middleware
async def added(request, handler):
    """Answers for what localstripe does not know."""
    for method, pattern, answer in ADDED:
        found = re.fullmatch(pattern, request.path)
        if found and method == request.method:
            return await answer(request, found.group(1))
    return await handler(request)


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
    server.app.middlewares.insert(0, added)
    decline_methods()
    server.app.middlewares.insert(0, fail)
    server.app.router.add_post("/_config/faults", set_fault)
    server.app.router.add_post("/_config/declines", set_decline)
    server.app.router.add_get("/_config/intents", intents)
    server.app.router.add_put("/_config/things", put_thing)
    server.app.router.add_put("/_config/movements", put_movements)
    server.app.router.add_post("/_config/pay/{id}", pay_session)
    web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)


main()
