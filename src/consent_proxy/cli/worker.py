"""What each process of `serve` serves, and when it ends."""

import gc
import logging
import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess

from fastapi import FastAPI

from consent_proxy.bootstrap import create_service
from consent_proxy.settings import Settings

logger = logging.getLogger(__name__)


def create_served_app() -> FastAPI:
    """The application, from the environment alone."""
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_end_with, args=(supervisor,), name="supervisor-watch", daemon=True).start()
    app = create_service(settings)
    _spare_the_collector()
    return app


def _spare_the_collector() -> None:
    """Take what is here for good out of the garbage collector's sight, and let it look less often.

    A full collection walks every object of every module imported; under load that was the longest pause there was.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _end_with(supervisor: BaseProcess) -> None:
    """End in order when the process that would stop this one was killed: the next start needs the port."""
    supervisor.join()
    logger.warning("the supervising process is gone: this worker ends")
    os.kill(os.getpid(), signal.SIGTERM)
