"""Each operation is asked by somebody who may: the first person who has its permission."""

import json
import os

import schemathesis

with open(os.environ["TRIBUTARY_SESSIONS"]) as file:
    SESSIONS = json.load(file)


@schemathesis.hook
def before_call(context, case, kwargs):
    needed = case.operation.definition.raw.get("x-permission")
    able = [s for s in SESSIONS if needed is None or needed in s["permissions"]]
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {(able or SESSIONS)[0]['token']}"}
