"""A disk that is full, as the writer of recordings meets it."""

import errno
import os


class Full:
    """A disk that takes `room` bytes more, in place of `os.sendfile`."""

    def __init__(self, room, code=errno.ENOSPC):
        self.room, self._code, self._sendfile = room, code, os.sendfile

    def __call__(self, out, source, offset, count):
        if self.room <= 0:
            raise OSError(self._code, os.strerror(self._code))
        sent = self._sendfile(out, source, offset, min(count, self.room))
        self.room -= sent
        return sent
