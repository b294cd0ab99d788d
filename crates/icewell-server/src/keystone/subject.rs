//! What Keystone says of somebody else's token.

use std::time::SystemTime;

use http::{HeaderValue, Method, StatusCode};

use super::Token;
use super::credentials::Login;
use super::login::{Desk, Given, SUBJECT_TOKEN, text_of};
use crate::origin::NoAnswer;

/// Whose token it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Somebody with the roles of these names, on the scope of the token.
    Known(Vec<String>),
    /// Nobody's: it has run out, was revoked, or is no token.
    Nobody,
}

impl Desk {
    /// Asks whose token `subject` is, with `own`; none where Keystone does not take `own`.
    pub(super) async fn ask_about(&self, own: &Token, subject: &HeaderValue) -> Result<Option<Subject>, NoAnswer> {
        let Login::Keystone(request) = &self.credentials.login else {
            return Err(failed(StatusCode::BAD_GATEWAY, "no OS_AUTH_URL says where it is"));
        };
        let mut headers = own.field();
        let mut subject = subject.clone();
        subject.set_sensitive(true);
        headers.insert(SUBJECT_TOKEN, subject);
        // Redirects are not followed: one would send both tokens to whoever it names.
        let mut answer = self.client.ask(&Method::GET, &request.url, &headers).await?;
        let text = text_of(&mut answer).await.map_err(|why| failed(StatusCode::BAD_GATEWAY, &why))?;
        read(answer.status, &text, SystemTime::now())
    }
}

fn failed(status: StatusCode, reason: &str) -> NoAnswer {
    NoAnswer { status, reason: reason.to_owned() }
}

/// What Keystone's answer means. A 401 is about who asks, a 404 about the token that is asked for.
fn read(status: StatusCode, text: &[u8], now: SystemTime) -> Result<Option<Subject>, NoAnswer> {
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(Some(Subject::Nobody)),
        StatusCode::UNAUTHORIZED => return Ok(None),
        StatusCode::FORBIDDEN => {
            let reason = "it does not let the daemon's own user look at tokens (403); give that user the role service";
            return Err(failed(StatusCode::BAD_GATEWAY, reason));
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            return Err(failed(status, &format!("it answers {status}")));
        }
        _ => return Err(failed(StatusCode::BAD_GATEWAY, &format!("it answers {status}"))),
    }
    let unreadable = || failed(StatusCode::BAD_GATEWAY, "its answer describes no token");
    let Given { token } = serde_json::from_slice(text).map_err(|_| unreadable())?;
    let end = token.end().ok_or_else(unreadable)?;
    Ok(Some(if end > now { Subject::Known(token.role_names()) } else { Subject::Nobody }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, text: &str) -> Result<Option<Subject>, u16> {
        let now = humantime::parse_rfc3339("2026-11-23T03:00:00Z").unwrap();
        let read = read(StatusCode::from_u16(status).unwrap(), text.as_bytes(), now);
        read.map_err(|no_answer| no_answer.status.as_u16())
    }

    #[test]
    fn whose_token_it_is() {
        let known = |names: &[&str]| Ok(Some(Subject::Known(names.iter().map(|&name| name.into()).collect())));
        for (text, subject) in [
            (
                r#"{"token": {"expires_at": "2026-11-23T03:00:00.000001Z", "roles": [{"id": "1", "name": "member"},
                    {"id": "2", "name": "reader"}]}}"#,
                known(&["member", "reader"]),
            ),
            // Without a scope there are no roles.
            (r#"{"token": {"expires_at": "2026-11-23T04:00:00.000000Z"}}"#, known(&[])),
            (
                r#"{"token": {"expires_at": "2026-11-23T03:00:00.000000Z", "roles": [{"name": "member"}]}}"#,
                Ok(Some(Subject::Nobody)),
            ),
            // Nobody is let in by what cannot be read.
            (r#"{"token": {"roles": [{"name": "member"}]}}"#, Err(502)),
            (r#"{"token": {"expires_at": null, "roles": [{"name": "member"}]}}"#, Err(502)),
            (r#"{"token": {"expires_at": "tomorrow", "roles": [{"name": "member"}]}}"#, Err(502)),
            (r#"{"token": {"expires_at": "2026-11-23T04:00:00Z", "roles": ["member"]}}"#, Err(502)),
            (r#"{"hello": "world"}"#, Err(502)),
            ("<html>", Err(502)),
            ("", Err(502)),
        ] {
            assert_eq!(answered(200, text), subject, "{text}");
        }
    }

    #[test]
    fn a_status_counts_whatever_comes_with_it() {
        let text = r#"{"token": {"expires_at": "2026-11-23T04:00:00Z", "roles": [{"name": "member"}]}}"#;
        for (status, subject) in [
            (404, Ok(Some(Subject::Nobody))),
            (401, Ok(None)),
            (403, Err(502)),
            (503, Err(503)),
            (504, Err(504)),
            (201, Err(502)),
            (203, Err(502)),
            (204, Err(502)),
            (300, Err(502)),
            (302, Err(502)),
            (400, Err(502)),
            (429, Err(502)),
            (500, Err(502)),
        ] {
            assert_eq!(answered(status, text), subject, "{status}");
        }
    }
}
