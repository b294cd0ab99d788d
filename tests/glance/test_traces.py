"""Traces in front of a real Glance, read as every receiver reads them: with OpenTelemetry's own protobuf definitions."""

import base64
import http.server
import json
import threading

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from test_front import DATA, SIZE, Front, wait_for

TRACE, CLIENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE}-{CLIENT}-01"}


class Receiver(http.server.ThreadingHTTPServer):
    """Takes spans by OTLP, strictly: what is no field of the protocol is an error, and so is a name in another spelling."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans, self.resources, self.errors = [], [], []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def take(self, body):
        message = json.loads(body)
        request = json_format.ParseDict(with_base64(message), ExportTraceServiceRequest())
        # Nothing was lost on the way, and no enumeration was told by name: OTLP wants numbers.
        again = json_format.MessageToDict(request, use_integers_for_enums=True)
        assert without_empty(again) == without_empty(with_base64(message))
        for resource_spans in request.resource_spans:
            self.resources.append({a.key: a.value.string_value for a in resource_spans.resource.attributes})
            for scope in resource_spans.scope_spans:
                assert (scope.scope.name, bool(scope.schema_url)) == ("icewell", True)
                self.spans += scope.spans

    def find(self, **attributes):
        return [span for span in self.spans if all(told(span).get(name) == value for name, value in attributes.items())]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/json")
            self.server.take(body)
        except Exception as error:
            self.server.errors.append(f"{error!r}: {body[:2000]}")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def with_base64(value):
    """The same with IDs as protobuf's JSON has bytes; OTLP has them in hexadecimals."""
    if isinstance(value, list):
        return [with_base64(one) for one in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in ids else with_base64(v) for k, v in value.items()}


def without_empty(value):
    """The same without what says nothing, which protobuf leaves out."""
    if isinstance(value, list):
        return [without_empty(one) for one in value]
    if not isinstance(value, dict):
        return value
    pairs = {name: without_empty(one) for name, one in value.items()}
    return {name: one for name, one in pairs.items() if one not in ("", [], {}, 0) or name.endswith("Value")}


def told(span):
    """Attributes and more of a span, by name."""
    value = lambda any_value: getattr(any_value, any_value.WhichOneof("value"))
    return {a.key: value(a.value) for a in span.attributes} | {"name": span.name, "kind": span.kind}


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as receiver:
        yield receiver
        receiver.shutdown()


@pytest.fixture(scope="module")
def front(bed, glance, receiver, tmp_path_factory):
    endpoint = f"http://127.0.0.1:{receiver.server_address[1]}"
    front = Front(bed, glance, tmp_path_factory.mktemp("traced"), "--otlp-endpoint", endpoint)
    yield front
    front.stop()


def test_a_miss_a_hit_and_who_may_not(front, receiver):
    image_id = front.api.image(DATA)["id"]
    assert not receiver.spans, "what is only passed on is not traced"
    assert front.api.file(image_id, user="red-member", headers=PARENT).body == DATA
    front.wait_until_cached(image_id)
    assert front.api.file(image_id, user="red-admin", headers=PARENT).body == DATA
    assert front.api.file(image_id, user="red-admin", headers=PARENT).body == DATA
    assert front.api.file(image_id, user="blue-member").status == 404
    server = {"kind": Span.SPAN_KIND_SERVER, "http.route": "/v2/images/{image_id}/file"}
    wait_for(lambda: len(receiver.find(**server)) == 4)
    assert not receiver.errors

    [miss] = receiver.find(**server, **{"icewell.cache": "miss"})
    assert (miss.trace_id.hex(), miss.parent_span_id.hex()) == (TRACE, CLIENT)
    assert miss.name == "GET /v2/images/{image_id}/file"
    assert told(miss)["icewell.image.id"] == image_id
    assert told(miss)["http.response.body.size"] == SIZE
    assert told(miss)["http.response.status_code"] == 200
    assert miss.flags & 0x300 == 0x300, "its parent is somewhere else"
    wait_for(lambda: receiver.find(name="fill"))
    [fill] = receiver.find(name="fill")
    assert (fill.trace_id, fill.parent_span_id) == (miss.trace_id, miss.span_id)
    children = [span for span in receiver.spans if span.parent_span_id == fill.span_id]
    assert {told(child)["kind"] for child in children} == {Span.SPAN_KIND_CLIENT}
    urls = [told(child)["url.full"] for child in children]
    assert urls == [f"{front.glance.url}/v2/images/{image_id}{end}" for end in ("", "/file")], "description, then bytes"

    asked, remembered = sorted(receiver.find(**server, **{"icewell.cache": "hit"}), key=lambda s: s.start_time_unix_nano)
    assert told(asked)["icewell.authorization"] == "allowed"
    assert told(remembered)["icewell.authorization"] == "remembered"
    [question] = [span for span in receiver.find(name="authorize") if span.parent_span_id == asked.span_id]
    answers = [told(span)["http.response.status_code"] for span in receiver.spans if span.parent_span_id == question.span_id]
    assert answers == [200, 416], "that there is nothing beyond the end is a yes"
    assert not [span for span in receiver.spans if span.parent_span_id == remembered.span_id]

    [refused] = receiver.find(**server, **{"http.response.status_code": 404})
    assert refused.trace_id.hex() != TRACE and not refused.parent_span_id
    assert told(refused)["icewell.authorization"] == "refused"
    assert refused.status.code == Status.STATUS_CODE_UNSET, "that is the client's error, not the server's"
    for span in receiver.spans:
        assert span.end_time_unix_nano >= span.start_time_unix_nano > 0


def test_no_token_is_in_any_span(front, receiver):
    front.api.image(DATA)
    everything = " ".join(str(span) for span in receiver.spans)
    for user in ("red-member", "red-admin", "blue-member"):
        assert front.api.keystone.token(user) not in everything
    assert receiver.resources[0]["service.name"] == "icewell"
