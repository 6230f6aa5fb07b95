"""Scratch."""
import time
from consent_proxy.sandbox.server import Sandbox
from tests.postgres import LedgerDatabase
from tests.served import serve

def test_scratch(ledger_database: LedgerDatabase, sandbox: Sandbox) -> None:
    t = time.monotonic()
    with serve(database_url=ledger_database.service_url, sandbox=sandbox) as served:
        print("ready", time.monotonic() - t)
        with served.backend() as b:
            b.publish_shipped()
            b.grant("p1")
            r = b.fal_run("p1", "a fox"); print(r.status_code, r.text[:300], r.headers)
            r = b.fal_submit("p1", "a fox"); print(r.status_code, r.text[:300])
            r = b.replicate_predict("p1", "a fox"); print(r.status_code, r.text[:300])
            print(b.transfers("p1")[0])
            t = time.monotonic(); b.withdraw("p1"); print("withdrawal", time.monotonic() - t)
            r = b.fal_run("p1", "a fox"); print(r.status_code, r.text[:300], r.headers)
        print(served.log)
        t = time.monotonic()
        print("exit", served.stop(), time.monotonic() - t)
        print(served.log)
