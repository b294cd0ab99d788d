//! Spans as OTLP has them: protobuf's JSON of `opentelemetry/proto/collector/trace/v1`, with IDs in hexadecimals, numbers of
//! kinds instead of their names, and numbers of 64 bits as text (OTLP 1.10, "JSON Protobuf Encoding").

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use serde_json::{Value as Json, json};

use super::context::Context;
use super::span::{Event, Finished, Value};

/// The version of the names of attributes.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
/// That the flags tell whether the parent is in another program, and that it is.
const KNOWS_REMOTE: u32 = 0x100;
const REMOTE: u32 = 0x200;
/// The code of a status that is an error.
const ERROR: u8 = 2;

/// The request that exports these spans, of who has these attributes.
pub(super) fn request(resource: &[(String, String)], spans: &[Finished]) -> Vec<u8> {
    let resource = resource.iter().map(|(name, value)| json!({ "key": name, "value": { "stringValue": value } }));
    let request = json!({
        "resourceSpans": [{
            "resource": { "attributes": resource.collect::<Vec<_>>() },
            "scopeSpans": [{
                "scope": { "name": "icewell", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans.iter().map(span).collect::<Vec<_>>(),
                "schemaUrl": SCHEMA,
            }],
            "schemaUrl": SCHEMA,
        }],
    });
    request.to_string().into_bytes()
}

/// How many spans an answer says that the receiver has not taken, and why.
pub(super) fn rejected(answer: &[u8]) -> Option<(u64, String)> {
    let answer: Json = serde_json::from_slice(answer).ok()?;
    let partial = answer.get("partialSuccess")?;
    let rejected = partial.get("rejectedSpans")?;
    let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).filter(|spans| *spans > 0)?;
    let why = partial.get("errorMessage").and_then(Json::as_str).unwrap_or("no reason is given");
    Some((rejected, why.to_owned()))
}

fn span(span: &Finished) -> Json {
    let remote = match span.parent {
        Some((_, true)) => KNOWS_REMOTE | REMOTE,
        _ => KNOWS_REMOTE,
    };
    let mut told = json!({
        "traceId": span.context.trace.to_string(),
        "spanId": span.context.span.to_string(),
        "flags": u32::from(span.context.flags()) | remote,
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes(&span.attributes),
        "events": span.events.iter().map(event).collect::<Vec<_>>(),
        "links": span.links.iter().map(link).collect::<Vec<_>>(),
    });
    if let Some((parent, _)) = span.parent {
        told["parentSpanId"] = parent.to_string().into();
    }
    if let Some(state) = state(&span.context) {
        told["traceState"] = state.into();
    }
    if let Some(why) = &span.failed {
        told["status"] = json!({ "code": ERROR, "message": why });
    }
    told
}

fn event(event: &Event) -> Json {
    json!({ "timeUnixNano": nanos(event.at), "name": event.name, "attributes": attributes(&event.attributes) })
}

fn link(to: &Context) -> Json {
    json!({
        "traceId": to.trace.to_string(),
        "spanId": to.span.to_string(),
        "traceState": state(to).unwrap_or_default(),
        "flags": u32::from(to.flags()) | KNOWS_REMOTE,
    })
}

fn state(context: &Context) -> Option<&str> {
    context.state.as_ref().map(HeaderValue::to_str)?.ok()
}

fn attributes(attributes: &[(&'static str, Value)]) -> Vec<Json> {
    let one = |(name, value): &(&'static str, Value)| json!({ "key": name, "value": any(value) });
    attributes.iter().map(one).collect()
}

fn any(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::Truth(truth) => json!({ "boolValue": truth }),
    }
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_receiver_did_not_take_is_told() {
        let of = |answer: &str| rejected(answer.as_bytes());
        assert_eq!(of("{}"), None);
        assert_eq!(of("not JSON"), None);
        assert_eq!(of(r#"{"partialSuccess":{"rejectedSpans":"0","errorMessage":"a hint"}}"#), None);
        assert_eq!(of(r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"why"}}"#), Some((3, "why".into())));
        assert_eq!(of(r#"{"partialSuccess":{"rejectedSpans":4}}"#), Some((4, "no reason is given".into())));
    }
}
