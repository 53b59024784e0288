"""The Argo Server's two event methods as pure functions and values: no I/O, no clock, no logging.

Both transports stand on this package, so they cannot differ in what they send or in how they read an answer.
"""

from eventsource_operator.argo.protocol.answers import (
    WANTED_HEADERS,
    Answer,
    parse_retry_after,
    read_answer,
)
from eventsource_operator.argo.protocol.bindings import (
    BindingPage,
    OnExpired,
    Pager,
    TemplateReference,
    WorkflowEventBinding,
    read_page,
)
from eventsource_operator.argo.protocol.calls import MAX_EVENT_ANSWER, MAX_LIST_ANSWER, Call, authorization
from eventsource_operator.argo.protocol.events import (
    EventRequest,
    JSONValue,
    check_namespace,
    encode_body,
    event_headers,
    event_request,
    is_unicode,
    rfc3339,
)
from eventsource_operator.argo.protocol.options import (
    DEFAULT_LIMIT,
    ListOptions,
    checked_options,
    list_target,
)

__all__ = [
    "DEFAULT_LIMIT",
    "MAX_EVENT_ANSWER",
    "MAX_LIST_ANSWER",
    "WANTED_HEADERS",
    "Answer",
    "BindingPage",
    "Call",
    "EventRequest",
    "JSONValue",
    "ListOptions",
    "OnExpired",
    "Pager",
    "TemplateReference",
    "WorkflowEventBinding",
    "authorization",
    "check_namespace",
    "checked_options",
    "encode_body",
    "event_headers",
    "event_request",
    "is_unicode",
    "list_target",
    "parse_retry_after",
    "read_answer",
    "read_page",
    "rfc3339",
]
