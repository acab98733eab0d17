"""What a read-only server lets through of GraphQL: no mutation, also not those the stock server asks no permission for.

The stock `--read-only` checks a permission in most mutations' resolvers; a few have none (`setNuxSeen`,
`logTelemetry`), and one added by an upgrade may forget it.
"""

from __future__ import annotations

import json

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

from dms_assets.web.request_rules import Refusal

_READ_ONLY = Refusal(403, "this server is read-only", "use the server for operators")


def judge_request(body: bytes) -> Refusal | None:
    """The body of a POST to GraphQL."""
    try:
        data = json.loads(body)
    except ValueError:
        return Refusal(400, "the body is not JSON", "send a JSON object with a query")
    if not isinstance(data, dict):
        return Refusal(400, "the body is not a JSON object", "send one request at a time")
    return _judge_query(data.get("query"))


def judge_message(text: str | None) -> Refusal | None:
    """One message of the GraphQL websocket (`graphql-ws`: a query comes in `payload`)."""
    try:
        data = json.loads(text or "")
    except ValueError:
        return Refusal(400, "the message is not JSON", "speak the graphql-ws protocol")
    payload = data.get("payload") if isinstance(data, dict) else None
    return _judge_query(payload.get("query")) if isinstance(payload, dict) else None


def _judge_query(query: object) -> Refusal | None:
    if query is None:
        return None
    if not isinstance(query, str):
        return Refusal(400, "the query is not a text", "send a JSON object with a query")
    # GraphQL has no escapes in names, so a text without the word has no mutation: most requests need no parsing.
    if "mutation" not in query:
        return None
    try:
        document = parse(query)
    except GraphQLError as error:
        return Refusal(400, f"the query cannot be read ({error.message})", "correct its syntax")
    mutates = any(
        isinstance(node, OperationDefinitionNode) and node.operation is OperationType.MUTATION
        for node in document.definitions
    )
    return _READ_ONLY if mutates else None
