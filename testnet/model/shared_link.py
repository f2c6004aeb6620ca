"""A server whose bandwidth all downloads share equally, each of them up to the bandwidth of its machine.

All downloads have the same rate at a time. So it is enough to know how much each one would have got that ran from the
start on: a download of S bytes that begins at `level` ends at `level + S`, whatever joins or leaves meanwhile.
"""

from __future__ import annotations

import heapq


class SharedLink:
    """The downloads that go on.

    Attributes:
        sent: what all downloads got, in bytes.
        sent_by_minute: the same in each minute, by its number; without minutes in which nothing was sent.
        most_at_once: the largest number of downloads at a time.
        most_rate: the highest rate of all downloads together, in bytes per second.
        busy_seconds: how long the server's bandwidth was the limit.
    """

    def __init__(self, capacity: float, machine_rate: float) -> None:
        """Starts at time 0, without downloads.

        Args:
            capacity: bandwidth of the server, in bytes per second.
            machine_rate: bandwidth of a machine, in bytes per second.
        """
        self.sent = 0.0
        self.sent_by_minute: dict[int, float] = {}
        self.most_at_once = 0
        self.most_rate = 0.0
        self.busy_seconds = 0.0
        self._capacity = capacity
        self._machine_rate = machine_rate
        self._ends: list[tuple[float, int]] = []
        self._level = 0.0
        self._now = 0.0

    def __len__(self) -> int:
        """Returns the number of downloads."""
        return len(self._ends)

    @property
    def rate(self) -> float:
        """The rate of each download now, in bytes per second."""
        return min(self._machine_rate, self._capacity / len(self._ends)) if self._ends else self._machine_rate

    def advance(self, now: float) -> None:
        """Goes on until a time at which no download that has begun ended earlier, in seconds."""
        passed, count = now - self._now, len(self._ends)
        self._level += passed * self.rate
        self._count(now, self.rate * count)
        if count * self._machine_rate > self._capacity:
            self.busy_seconds += passed
        self._now = now

    def _count(self, now: float, rate: float) -> None:
        begin = self._now
        while rate and begin < now:
            minute = int(begin // 60)
            end = min(now, 60.0 * (minute + 1))
            self.sent += (end - begin) * rate
            self.sent_by_minute[minute] = self.sent_by_minute.get(minute, 0.0) + (end - begin) * rate
            begin = end

    def begin(self, now: float, machine: int, size: float) -> None:
        """Begins a download.

        Args:
            now: the time, in seconds.
            machine: number of the machine.
            size: in bytes.
        """
        self.advance(now)
        heapq.heappush(self._ends, (self._level + size, machine))
        self.most_at_once = max(self.most_at_once, len(self._ends))
        self.most_rate = max(self.most_rate, len(self._ends) * self.rate)

    def next_end(self) -> float:
        """Returns when the next download ends, in seconds, if no other one begins; infinity if there is none."""
        if not self._ends:
            return float("inf")
        return self._now + max(0.0, self._ends[0][0] - self._level) / self.rate

    def end(self) -> tuple[float, int]:
        """Ends the download that is complete first; returns the time, and the number of its machine."""
        now = self.next_end()
        self.advance(now)
        return now, heapq.heappop(self._ends)[1]
