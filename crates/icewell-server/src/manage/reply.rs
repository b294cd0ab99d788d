//! Answers in Glance's form. Its errors are a page, JSON or plain text, as the client would rather have them.

use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::Serialize;

use crate::body::Body;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How a client would rather have an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Html,
    Json,
    Plain,
}

impl Form {
    /// By the request's `Accept`: the better liked of a page and JSON; text for who likes neither, or says nothing.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let ranges: Vec<&str> =
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).collect();
        let (html, json) = (quality(&ranges, "text/html"), quality(&ranges, "application/json"));
        if html.max(json) <= 0.0 {
            Form::Plain
        } else if html >= json {
            Form::Html
        } else {
            Form::Json
        }
    }
}

/// The weight of a media type: that of the range that names it most closely (RFC 9110 §12.5.1).
fn quality(ranges: &[&str], wanted: &str) -> f32 {
    let family = wanted.split('/').next().unwrap_or_default();
    let closeness = |range: &str| match range.split_once('/') {
        _ if range.eq_ignore_ascii_case(wanted) => Some(2),
        Some((kind, "*")) if kind.eq_ignore_ascii_case(family) => Some(1),
        Some(("*", "*")) => Some(0),
        _ => None,
    };
    let weighed = ranges.iter().filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let closeness = closeness(parts.next()?)?;
        let weight = parts.find_map(|parameter| parameter.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        Some((closeness, weight))
    });
    weighed.max_by_key(|(closeness, _)| *closeness).map_or(0.0, |(_, weight)| weight)
}

/// An error as Glance words it.
pub(crate) fn error(form: Form, status: StatusCode, message: &str) -> Response<Body> {
    worded(form, status, message, "\n\n\n")
}

/// The answer to another verb than those allowed.
pub(crate) fn not_allowed(form: Form, method: &Method, allow: &'static str) -> Response<Body> {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = match *method {
        Method::HEAD => empty(status),
        _ => worded(form, status, &format!("The method {method} is not allowed for this resource. "), "\n"),
    };
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

fn worded(form: Form, status: StatusCode, message: &str, tail: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let status_line = format!("{} {title}", status.as_u16());
    let (kind, text) = match form {
        Form::Html => {
            let message = escaped(message);
            let page = format!(
                "<html>\n <head>\n  <title>{status_line}</title>\n </head>\n <body>\n  <h1>{status_line}</h1>\n  \
                 {message}<br /><br />{tail}\n </body>\n</html>"
            );
            (HTML, page)
        }
        Form::Json => {
            let message = format!("{message}<br /><br />{tail}");
            (JSON, serde_json::json!({ "message": message, "code": status_line, "title": title }).to_string())
        }
        Form::Plain => {
            let end = if tail.len() > 1 { "\n\n   " } else { "\n\n " };
            (PLAIN, format!("{status_line}\n\n{message}{end}"))
        }
    };
    let mut response = Response::new(Body::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A name from outside must not become a part of the page.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#x27;"),
            other => out.push(other),
        }
    }
    out
}

/// An answer that needs no words. It is typed all the same, as Glance's.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HTML);
    response
}

/// 200 with this value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => {
            let mut response = Response::new(Body::text(text));
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            response
        }
        Err(failed) => error(Form::Plain, StatusCode::INTERNAL_SERVER_ERROR, &failed.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_the_client_likes_better() {
        for (accept, form) in [
            ("", Form::Plain),
            ("*/*", Form::Html),
            ("text/*", Form::Html),
            ("application/json", Form::Json),
            ("application/*", Form::Json),
            ("text/plain", Form::Plain),
            ("application/json, */*", Form::Html),
            ("*/*;q=0.1, application/json", Form::Json),
            ("text/html;q=0.1,application/json;q=0.5", Form::Json),
            ("text/html; q=0, application/json; q=0", Form::Plain),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Form::of(&headers), form, "{accept:?}");
        }
    }

    #[test]
    fn a_name_is_no_part_of_the_page() {
        assert_eq!(escaped("<b a='\"'>&"), "&lt;b a=&#x27;&quot;&#x27;&gt;&amp;");
    }
}
