"""Code that blocks in, the same code under virtual time out: threads of which exactly one runs at a time.

Sync's steps wait for the hub and for the node; here such a wait is a pause: the thread hands the baton back to the
schedule and gets it again when its answer, or its deadline, has come. So unmodified blocking code runs with every
interleaving that the seed asks for, and the same one each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from interlock.sim.simulator.schedule import Schedule

Body = Callable[[], None]


class Ended(BaseException):
    """Raised inside a fiber whose process is gone: not an Exception, so that no code of ours goes on after it."""


class Fiber:
    """One thread of a virtual process; everything but `pause` is called by whoever holds the baton."""

    def __init__(self, schedule: Schedule, body: Body, owner: int) -> None:
        """`body` runs from the next microsecond on; `owner` is the machine that it concerns."""
        self._schedule, self._body, self._owner = schedule, body, owner
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._answer: Any = None
        self._failure: BaseException | None = None
        self._is_ending = False
        self._wait = 0
        self.is_over = False
        schedule.at(schedule.now_us + 1, self._begin, owner)

    def pause(self, us: int | None) -> Any:
        """Wait: the answer that `answer` brought, None when `us` microseconds passed first (None: for ever)."""
        self._wait += 1
        number = self._wait
        if us is not None:
            self._schedule.at(self._schedule.now_us + us, lambda: self._due(number), self._owner)
        self._back.release()
        self._go.acquire()
        answer, self._answer = self._answer, None
        if self._is_ending:
            raise Ended
        return answer

    @property
    def wait(self) -> int:
        """The number of the present pause: an answer to an earlier one comes too late."""
        return self._wait

    def answer(self, number: int, answer: Any) -> None:
        """Who waits in pause `number` goes on with `answer`; nobody who does not wait there any more."""
        if number == self._wait and not self.is_over:
            self._answer = answer
            # Answered: neither its deadline nor another answer may wake it again.
            self._wait += 1
            self._schedule.at(self._schedule.now_us, self._resume, self._owner)

    def end(self) -> None:
        """The thread is gone, wherever it was."""
        if self.is_over:
            return
        self._is_ending = True
        if self._thread.ident is None:
            self.is_over = True
            return
        self._resume()

    def _begin(self) -> None:
        if not self.is_over:
            self._thread.start()
            self._resume()

    def _due(self, number: int) -> None:
        if number == self._wait and not self.is_over:
            self._resume()

    def _resume(self) -> None:
        if self.is_over:
            return
        self._go.release()
        self._back.acquire()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._is_ending:
                self._body()
        except Ended:
            pass
        except BaseException as error:  # noqa: BLE001
            # The top of a thread. Handed to the thread of the schedule, which raises it: the run has broken.
            self._failure = error
        finally:
            self.is_over = True
            self._back.release()
