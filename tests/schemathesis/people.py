"""A treasury with one person for each built-in role that people have, and their sessions.

people.py treasury BINARY FOLDER    makes them, by the command line, as an operator sets a treasury up
people.py deal ADDRESS FOLDER N LEFT_OUT..    deals the operations out: FOLDER/dealt.1 to dealt.N have their ids
people.py sign-in ADDRESS FOLDER    signs all of them in; FOLDER/sessions.json has the token and the permissions of each
"""

import base64
import hashlib
import hmac
import json
import re
import struct
import subprocess
import sys
import time
import urllib.request

PASSWORD = "violet-otter-47-quarry-lantern"
# Who approves comes last: from then on an operator only proposes.
ROLES = ["administrator", "treasurer", "rule-keeper", "auditor", "product-client", "approver"]
TREASURY = """
[[entity]]
code = "acme"
name = "Acme GmbH"
country = "DE"
[[bank]]
code = "bank"
name = "Bank"
country = "DE"
[[product]]
code = "video"
name = "Video"
[[market]]
code = "DE"
name = "Germany"
[[master]]
code = "de-eur"
name = "Frankfurt"
bank = "bank"
entity = "acme"
currency = "EUR"
account = "DE89370400440532013000"
time_zone = "Europe/Berlin"
cut_over_on = "2026-03-01"
opening = "1000.00"
numbers = { scheme = "iban", prefix = "DE370400449" }
opening_shares = [{ leaf = "de-eur/house/pool", amount = "1000.00" }]
[[sub_account]]
master = "de-eur"
product = "video"
market = "DE"
[[rule]]
code = "store"
priority = 100
when = { counterparty = "ORCHARD STORE" }
to = [{ leaf = "{master}/video/de/operating" }]
"""
STATEMENT = """:20:STMT0302
:25:DE89370400440532013000
:28C:41/1
:60F:C260301EUR1000,00
:61:2603020302C100,01NTRFNONREF//B1
:86:166?00CREDIT?20APP SALES FEBRUARY?32ORCHARD STORE
:61:2603020302C250,00NTRFNONREF//B2
:86:166?00CREDIT?20ORDER 4711?32M. MUSTERMANN
:62F:C260302EUR1350,01
-
"""


def code(secret):
    """RFC 6238, six digits, thirty seconds."""
    step = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.new(base64.b32decode(secret), step, hashlib.sha1).digest()
    at = digest[-1] & 15
    return "%06d" % ((struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000)


def treasury(binary, folder):
    command = [binary, "--json", "--config", f"{folder}/tributary.toml"]

    def run(*arguments):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{arguments}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def join(answers):
        asked = subprocess.Popen(
            [*command, "people", "join"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        asked.stdin.write("".join(f"{answer}\n" for answer in answers))
        asked.stdin.flush()
        secret = next(line.strip() for line in asked.stderr if re.fullmatch(r"[A-Z2-7]{32}", line.strip()))
        asked.stdin.write(f"{code(secret)}\n")
        asked.stdin.close()
        said = asked.stdout.read()
        if asked.wait():
            sys.exit(f"joining: {said}")
        return secret

    for name, text in [("treasury.toml", TREASURY), ("monday.sta", STATEMENT)]:
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
    run("chart", "apply", f"{folder}/treasury.toml")
    run("statement", "import", f"{folder}/monday.sta")
    secrets = {}
    for role in ROLES:
        if not secrets:
            secrets[role] = join([run("people", "first")["invitation"], role, f"The {role}", PASSWORD])
        else:
            invitation = run("people", "add", role, "--name", f"The {role}")["invitation"]
            run("people", "grant", role, role)
            secrets[role] = join([invitation, PASSWORD])
    with open(f"{folder}/secrets.json", "w") as file:
        json.dump({"secrets": secrets, "step": int(time.time()) // 30}, file)


def sign_in(address, folder):
    with open(f"{folder}/secrets.json") as file:
        made = json.load(file)
    # A code counts once: the next ones come with the next half minute.
    while int(time.time()) // 30 <= made["step"]:
        time.sleep(0.5)

    def ask(path, token=None, body=None):
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        request = urllib.request.Request(f"{address}{path}", None if body is None else json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    sessions = []
    for login, secret in made["secrets"].items():
        opened = ask("/v1/sign-in", body={"login": login, "password": PASSWORD, "code": code(secret)})
        sessions.append({"login": login, "token": opened["token"]})
    roles = {role["code"]: role["permissions"] for role in ask("/v1/roles", sessions[0]["token"])["items"]}
    for session in sessions:
        session["permissions"] = roles[session["login"]]
    with open(f"{folder}/sessions.json", "w") as file:
        json.dump(sessions, file)


def deal(address, folder, hands, *left_out):
    with urllib.request.urlopen(f"{address}/openapi.json") as answer:
        document = json.load(answer)
    methods = [operation for path in document["paths"].values() for operation in path.values() if isinstance(operation, dict)]
    ids = sorted(m["operationId"] for m in methods if "operationId" in m and m["operationId"] not in left_out)
    for hand in range(int(hands)):
        with open(f"{folder}/dealt.{hand + 1}", "w") as file:
            file.writelines(f"{id}\n" for id in ids[hand :: int(hands)])


if __name__ == "__main__":
    {"treasury": treasury, "sign-in": sign_in, "deal": deal}[sys.argv[1]](*sys.argv[2:])
