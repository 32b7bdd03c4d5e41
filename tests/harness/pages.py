"""What flagtally is asked for by those who look: the page, and the usage."""

from urllib.parse import quote, urlencode

from tests.harness import fcgi
from tests.harness.reports import Counted

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
           "'onmouseover='x", "\u202eRTL", "", "x" * 300, "a b&c=d+e%20",
           "\u0001\u001b[31m", "&lt;", "</title>", "two\nlines\ttab", "\\",
           "\U0001f680\ufffe", "\u05e9\u05dc\u05d5\u05dd"]


class Story(Counted):
    def get(self, method="GET", path="/flagtally", **query):
        changes = {name: query.pop(name) for name in list(query)
                   if name.isupper()}
        text = urlencode(query, quote_via=quote)
        return fcgi.post(self.program.address, b"", **{
            "REQUEST_METHOD": method, "QUERY_STRING": text,
            "REMOTE_ADDR": "127.0.0.1", "REQUEST_URI": path + "?" + text,
            **changes})
