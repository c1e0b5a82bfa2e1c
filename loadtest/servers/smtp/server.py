"""An SMTP server that takes mail, and misbehaves as the local part of an address asks for.

refused@   550 for the recipient
grey@      451 the first two times
drop@      the connection breaks before the mail is taken, the first time
lost@      the mail is taken, and the connection breaks before the answer, the first time
slow@      the answer takes two seconds

Each mail that it takes is a line of mail.jsonl. Arguments: port, and optionally a certificate, its key, a user and a
password; then mail is taken over STARTTLS only, and after the password.
"""

import asyncio
import collections
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

tries = collections.Counter()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        kind = address.split("@")[0]
        tries[address, "rcpt"] += 1
        if kind == "refused":
            return "550 5.1.1 no such mailbox"
        if kind == "grey" and tries[address, "rcpt"] <= 2:
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        address = envelope.rcpt_tos[0]
        kind = address.split("@")[0]
        tries[address, "data"] += 1
        first = tries[address, "data"] == 1
        if kind == "slow":
            await asyncio.sleep(2)
        if not (kind == "drop" and first):
            line = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "raw": envelope.content.decode()}
            with open("mail.jsonl", "a") as file:
                file.write(json.dumps(line) + "\n")
        if kind in ("drop", "lost") and first:
            server.transport.abort()
            await asyncio.sleep(0.1)
        return "250 OK taken"


def authenticator(user, password):
    def check(server, session, envelope, mechanism, given):
        right = given.login == user.encode() and given.password == password.encode()
        return AuthResult(success=right, handled=right)

    return check


async def main():
    port, rest = int(sys.argv[1]), sys.argv[2:]
    options = {}
    if rest:
        certificate, key, user, password = rest
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        options = {
            "tls_context": context,
            "require_starttls": True,
            "auth_required": True,
            "authenticator": authenticator(user, password),
        }
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), hostname="mail.test", **options), "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
