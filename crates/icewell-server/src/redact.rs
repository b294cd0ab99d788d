//! What of a URL may be told to others: not the passwords, signatures and tokens that some have in them.

use http::Uri;

/// What stands in the place of what is not told; the word of OpenTelemetry's conventions.
const REDACTED: &str = "REDACTED";

/// A URL or a request's target, without what is secret in it.
pub(crate) fn url(uri: &Uri) -> String {
    let mut told = String::new();
    if let Some((scheme, authority)) = uri.scheme_str().zip(uri.authority()) {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        told = format!("{scheme}://{host}");
    } else if let Some(authority) = uri.authority() {
        told.push_str(authority.as_str().rsplit('@').next().unwrap_or_default());
    }
    told.push_str(uri.path());
    if let Some(query) = uri.query() {
        let fields = query.split('&').map(|field| match field.split_once('=') {
            Some((name, _)) if is_secret(name) => format!("{name}={REDACTED}"),
            _ => field.to_owned(),
        });
        told.push('?');
        told.push_str(&fields.collect::<Vec<_>>().join("&"));
    }
    told
}

/// Whether something in a query is secret.
pub(crate) fn hides(query: &str) -> bool {
    query.split('&').any(|field| field.split_once('=').is_some_and(|(name, _)| is_secret(name)))
}

/// Whether a field of this name is what lets somebody in: signatures of S3, Azure and Google, and what is usual elsewhere.
fn is_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let parts = ["signature", "token", "secret", "password", "passwd", "credential", "apikey", "accesskey", "jwt"];
    matches!(plain.as_str(), "sig" | "key" | "auth" | "authorization" | "code")
        || parts.iter().any(|part| plain.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in_by_what_is_not_told() {
        for (uri, told) in [
            ("/a/b?c=d", "/a/b?c=d"),
            ("/a", "/a"),
            ("http://host:80/a?b", "http://host:80/a?b"),
            ("http://me:pass@host/a", "http://host/a"),
            ("me:pass@host:80", "host:80"),
            ("/a?X-Amz-Signature=abc&x=1", "/a?X-Amz-Signature=REDACTED&x=1"),
            ("/a?sv=1&sig=abc", "/a?sv=1&sig=REDACTED"),
            ("/a?access_token=abc&design=1", "/a?access_token=REDACTED&design=1"),
        ] {
            assert_eq!(url(&uri.parse().unwrap()), told);
        }
        assert!(hides("a=1&Signature=x") && !hides("a=1&b"));
    }
}
