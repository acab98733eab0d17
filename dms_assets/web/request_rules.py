"""What the web server answers and what it refuses, as pure rules over one request's head.

The stock server has no login, answers to any host name and takes a mutation from the URL of a GET and from a plain
text POST. Loopback alone is no protection then: any page in the user's browser can send such a request, and a name
that is made to resolve to 127.0.0.1 (DNS rebinding) can read the answer too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
MAX_BODY_BYTES = 4 * 2**20
"""How much a request may carry. The largest that the stock UI sends, a run config, is far below."""

GRAPHQL = "/graphql"
PLATFORM = "/platform"
REPORTS = ("/report_asset_materialization", "/report_asset_check", "/report_asset_observation")
_DATA = (GRAPHQL, *REPORTS, "/logs", "/download_debug", "/server_info", "/dagit_info")
# It reads a file that the request names, from the code server's disk.
_CLOSED = ("/notebook", "/dagit/notebook")
_UNSAFE_PATH = re.compile(r"[\x00-\x1f\x7f\\]|//|/\.{1,2}(?:/|$)")
_ENCODED = re.compile(rb"%(?:2[eE]|5[cC]|00)")


@dataclass(frozen=True, slots=True)
class Head:
    """A request before its body. `path` is decoded, as the router sees it; header names are lower case."""

    kind: str
    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self.headers if key == wanted]

    def below(self, *prefixes: str) -> bool:
        """Whether the path is one of some, or below one of them."""
        return any(self.path == prefix or self.path.startswith(f"{prefix}/") for prefix in prefixes)


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may ask for what. `hosts` are the names the server goes by, without a port, lower case."""

    hosts: frozenset[str] = field(default=LOOPBACK_HOSTS)
    read_only: bool = False
    max_body: int = MAX_BODY_BYTES


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered, and what to do instead; `status` is the HTTP status."""

    status: int
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"refused: {self.reason}; {self.remedy}"


def _host_name(authority: str) -> str:
    name, colon, port = authority.lower().rpartition(":")
    return name if colon and port.isdigit() else authority.lower()


def _host(policy: Policy, head: Head) -> Refusal | None:
    hosts = head.values("host")
    if len(hosts) != 1:
        return Refusal(400, f"the request has {len(hosts)} Host headers", "send exactly one")
    if _host_name(hosts[0]) in policy.hosts:
        return None
    return Refusal(
        421,
        f"this server does not go by the name {_host_name(hosts[0])!a}",
        f"open it as one of {', '.join(sorted(policy.hosts))}, or start it with --allow-host NAME",
    )


def _path(policy: Policy, head: Head) -> Refusal | None:  # noqa: ARG001 every rule is asked alike
    first = head.raw_path.split(b"/")[1] if head.raw_path.startswith(b"/") else b"%"
    strange = (
        not head.path.startswith("/")
        or _UNSAFE_PATH.search(head.path) is not None
        # A second decoding somewhere behind us must not make another path of it.
        or _UNSAFE_PATH.search(unquote_to_bytes(head.path.encode("utf-8", "surrogatepass")).decode("latin-1"))
        # What is no page of the UI is written as it is; the UI's own addresses have anything in them.
        or (head.below(*_DATA, *_CLOSED, PLATFORM) and (b"%" in first or _ENCODED.search(head.raw_path)))
    )
    remedy = "write it without . and .. and doubled or encoded slashes"
    return Refusal(400, "the path is not in its plain form", remedy) if strange else None


def _navigates(head: Head) -> bool:
    """A person follows a link to a page: it shows the page, and hands nothing back to where the link was."""
    return (
        head.kind == "http"
        and head.method in {"GET", "HEAD"}
        and head.values("sec-fetch-mode") == ["navigate"]
        and head.values("sec-fetch-dest") == ["document"]
        and not head.below(*_DATA)
    )


def _site(policy: Policy, head: Head) -> Refusal | None:  # noqa: ARG001
    sites = head.values("sec-fetch-site")
    if all(site in {"same-origin", "none"} for site in sites) or _navigates(head):
        return None
    return Refusal(403, "another site's page sent the request", "open the page here and do it there")


def _origin(policy: Policy, head: Head) -> Refusal | None:  # noqa: ARG001
    origins = head.values("origin")
    if not origins and head.kind == "websocket":
        return Refusal(403, "a websocket without an Origin", "send the Origin header of the page that opens it")
    # Not only an allowed name: another program on this machine has the same name and another port.
    if all(_authority(origin) == head.values("host")[0].lower() for origin in origins):
        return None
    return Refusal(403, f"a page of {origins[0]!a} sent the request", "open the page here and do it there")


def _authority(origin: str) -> str | None:
    """Host and port of an origin as a Host header spells them, None for what is no web origin."""
    try:
        parts = urlsplit(origin.lower())
        port = parts.port
    except ValueError:
        return None
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or origin.lower() != f"{parts.scheme}://{parts.netloc}"
    ):
        return None
    default = {"http": 80, "https": 443}[parts.scheme]
    return parts.netloc.removesuffix(f":{default}") if port == default else parts.netloc


def _method(policy: Policy, head: Head) -> Refusal | None:
    if head.below(*_CLOSED):
        return Refusal(403, "notebooks are not served", "nothing of this platform is a notebook")
    if policy.read_only and head.below(*REPORTS):
        return Refusal(403, "this server is read-only", "report events to the server for operators")
    if head.kind == "websocket":
        return None if head.path == GRAPHQL else Refusal(404, "no websocket here", f"the only one is {GRAPHQL}")
    takes_post = head.below(GRAPHQL, *REPORTS)
    if head.method == "POST" if takes_post else head.method in {"GET", "HEAD"}:
        return None
    if takes_post:
        return Refusal(405, f"{head.method} of {head.path!a}: any page can send what is in a URL", "POST it as JSON")
    return Refusal(405, f"{head.method} of {head.path!a}", "only GET is answered here")


def _content(policy: Policy, head: Head) -> Refusal | None:
    if head.kind == "websocket" or head.method != "POST":
        return None
    if head.below(GRAPHQL) and any(name != "op" for name, _ in parse_qsl(head.query.decode("latin-1"), True)):  # noqa: FBT003
        return Refusal(400, "a GraphQL request with parameters in its URL", "put query and variables into the body")
    types = head.values("content-type")
    # The whole media type: 'text/plain; x=application/json' can be sent by any page, and the stock server takes it.
    if len(types) != 1 or types[0].partition(";")[0].strip().lower() != "application/json":
        return Refusal(415, f"a body of type {', '.join(types) or 'none'!a}", "send application/json")
    lengths = head.values("content-length")
    if any(not length.isdigit() or int(length) > policy.max_body for length in lengths):
        return too_large(policy)
    return None


def too_large(policy: Policy) -> Refusal:
    """The refusal of a body over the limit."""
    return Refusal(413, f"the body is larger than {policy.max_body} bytes", "send less at once")


def judge(policy: Policy, head: Head) -> Refusal | None:
    """The first rule that a request breaks, None if it may be answered."""
    for rule in (_host, _path, _site, _origin, _method, _content):
        refusal = rule(policy, head)
        if refusal is not None:
            return refusal
    return None
