//! The page of the admin listener: files that are part of the program, and what a browser may do with them.
//!
//! The page itself is for anybody: it holds nothing. What it shows it asks for, with the token where one is needed.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Response, StatusCode};

use crate::body::Body;

/// Nothing from elsewhere, nothing inline, nowhere else to.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; \
     base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, media type and text of each file.
const FILES: [(&str, &str, &str); 10] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/page.css", CSS, include_str!("page/page.css")),
    ("/icon.svg", SVG, include_str!("page/icon.svg")),
    ("/main.js", SCRIPT, include_str!("page/main.js")),
    ("/server.js", SCRIPT, include_str!("page/server.js")),
    ("/overview.js", SCRIPT, include_str!("page/overview.js")),
    ("/images.js", SCRIPT, include_str!("page/images.js")),
    ("/charts.js", SCRIPT, include_str!("page/charts.js")),
    ("/dialogs.js", SCRIPT, include_str!("page/dialogs.js")),
    ("/words.js", SCRIPT, include_str!("page/words.js")),
];

/// The file at this path, if there is one.
pub(crate) fn file(path: &str) -> Option<Response<Body>> {
    let (_, kind, content) = FILES.iter().find(|(name, ..)| *name == path)?;
    let mut response = Response::new(Body::text(*content));
    *response.status_mut() = StatusCode::OK;
    for (name, value) in [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CONTENT_SECURITY_POLICY, POLICY),
        // Of the program that runs, not of the one before the last update.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ] {
        response.headers_mut().insert(name, value);
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_one_of_them_names_is_there() {
        for (name, _, content) in FILES {
            let is_file = |word: &&str| {
                let (stem, end) = word.rsplit_once('.').unwrap_or_default();
                matches!(end, "js" | "css" | "svg") && stem.bytes().all(|byte| byte.is_ascii_lowercase())
            };
            let words = content.split(['"', '\'']).map(|word| word.strip_prefix("./").unwrap_or(word));
            let named: Vec<&str> = words.filter(is_file).collect();
            assert!(!named.is_empty() || !matches!(name, "/" | "/main.js"), "{name}");
            for file_name in named {
                assert!(file(&format!("/{file_name}")).is_some(), "{name} names {file_name}");
            }
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_makes_markup_of_text() {
        for (name, _, content) in FILES {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "<style",
                " style=",
                "onclick=",
                "javascript:",
            ] {
                assert!(!content.contains(word), "{name}: {word}");
            }
            assert!(!content.contains("<script>"), "{name}");
        }
    }
}
