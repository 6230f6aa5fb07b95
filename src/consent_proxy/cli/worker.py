"""What each process of `serve` serves, and when it ends."""

import gc
import logging
import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess
from types import FrameType

from fastapi import FastAPI

from consent_proxy.api.app import Application
from consent_proxy.bootstrap.service import create_service
from consent_proxy.settings import Settings

logger = logging.getLogger(__name__)


def create_served_app() -> FastAPI:
    """The application, from the environment alone."""
    settings = Settings()
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_end_with, args=(supervisor,), name="supervisor-watch", daemon=True).start()
    app = create_service(settings)
    if settings.stop_delay:
        _serve_on_after_sigterm(app, seconds=settings.stop_delay.total_seconds())
    _spare_the_collector()
    return app


def _serve_on_after_sigterm(app: Application, *, seconds: float) -> None:
    """Between SIGTERM and the stop, time for whoever spreads the traffic to notice: `/readyz` says so meanwhile.

    Called while uvicorn's own handler is in place, which then stops it. A second SIGTERM ends the waiting.
    """
    stop = signal.getsignal(signal.SIGTERM)
    assert callable(stop), "uvicorn makes the application after it took the signals"

    def announce(number: int, frame: FrameType | None) -> None:
        if app.is_stopping:
            stop(number, frame)
            return
        app.is_stopping = True
        logger.info("asked to stop: serving on for %g s, not ready for more", seconds)
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, announce)


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
