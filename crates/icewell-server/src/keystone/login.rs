//! One login: the request to Keystone, and what its answer means.

use std::fmt;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use super::Credentials;
use super::credentials::{Login, Request};
use crate::error::Error;
use crate::origin::{Answer, Client, Reach};

/// The longest answer of Keystone that is read: a token without the list of services is a few kilobytes.
const MAX_ANSWER: usize = 1 << 20;
/// The role that Glance's `context_is_admin` asks for.
const ADMIN: &str = "admin";

pub(super) const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// A token, and what Keystone says of it. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    value: HeaderValue,
    /// How long it is good from the moment it was given; none where nobody knows.
    pub(crate) life: Option<Duration>,
    /// Whether its owner is an administrator, to whom a Glance hides nothing.
    pub(crate) admin: bool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("life", &self.life).field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl Token {
    /// The field that shows it to a service.
    pub(crate) fn field(&self) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static("x-auth-token"), self.value.clone())])
    }

    #[cfg(test)]
    pub(super) fn of(text: &'static str, life: Option<Duration>) -> Self {
        Token { value: HeaderValue::from_static(text), life, admin: false }
    }
}

/// Whoever logs in: the credentials, and the way to their Keystone.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) credentials: Credentials,
    pub(super) client: Client,
}

impl Desk {
    /// `timeout` is how long Keystone may take to connect and to answer.
    pub(super) fn new(credentials: Credentials, timeout: Duration) -> Result<Self, Error> {
        let client = Client::new(&Reach { timeout, min_rate: 0, ca: credentials.ca.clone() })?;
        Ok(Desk { credentials, client })
    }

    pub(super) fn who(&self) -> &str {
        self.credentials.who()
    }

    pub(super) async fn log_in(&self) -> Result<Token, Error> {
        let request = match &self.credentials.login {
            Login::Ready(token) => return Ok(Token { value: token.clone(), life: None, admin: false }),
            Login::Keystone(request) => request,
        };
        let unreachable =
            |why: String| Error::new(format!("Keystone does not answer at {}", place(request))).with_source(why);
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        // Redirects are not followed: one would send the secret to whoever it names.
        let answer = self.client.post(&request.url, &headers, request.body.clone()).await;
        let mut answer = answer.map_err(|no_answer| unreachable(no_answer.reason))?;
        let text = text_of(&mut answer).await.map_err(unreachable)?;
        read(request, answer.status, &answer.headers, &text)
    }
}

/// All of an answer of Keystone's, or why there is no more of it.
pub(super) async fn text_of(answer: &mut Answer) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    while let Some(piece) = answer.body.try_next().await.map_err(|error| error.to_string())? {
        if text.len() + piece.len() > MAX_ANSWER {
            return Err("what comes is too long for a token".into());
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

/// Keystone's address without the question.
fn place(request: &Request) -> String {
    let url = request.url.to_string();
    url.split('?').next().unwrap_or(&url).to_owned()
}

/// What Keystone answers to a login, and to who asks about a token.
#[derive(Deserialize)]
pub(super) struct Given {
    pub(super) token: Facts,
}

#[derive(Deserialize)]
pub(super) struct Facts {
    issued_at: Option<String>,
    expires_at: Option<String>,
    #[serde(default)]
    roles: Vec<Role>,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    message: String,
}

/// The token in Keystone's answer, or why there is none.
fn read(request: &Request, status: StatusCode, headers: &HeaderMap, text: &[u8]) -> Result<Token, Error> {
    let place = place(request);
    let told = serde_json::from_slice::<Refusal>(text).ok().map(|refusal| refusal.error.message);
    // Some messages repeat what they find wrong.
    let told = told.filter(|told| !told.contains(&request.secret)).map(|told| told.trim().to_owned());
    let because = |error: Error| if let Some(told) = told.clone() { error.with_source(told) } else { error };
    match status {
        StatusCode::CREATED => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let judged = request.judged;
            let refused = format!("Keystone at {place} refuses the credentials ({status}); look at {judged}");
            return Err(because(Error::new(refused)));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(because(Error::new(format!("Keystone at {place} fails: {status}"))));
        }
        // It understood the question, and tells what is wrong with it.
        StatusCode::BAD_REQUEST if told.is_some() => {
            return Err(because(Error::new(format!("Keystone at {place} cannot use the credentials ({status})"))));
        }
        status => {
            return Err(Error::new(format!(
                "{place} answers {status}, so no Keystone v3 is there; look at OS_AUTH_URL"
            )));
        }
    }
    let given: Option<Given> = serde_json::from_slice(text).ok();
    let token = headers.get(SUBJECT_TOKEN).cloned().zip(given);
    let (mut value, Given { token: facts }) = token.ok_or_else(|| {
        Error::new(format!("the answer at {place} has no token, so no Keystone v3 is there; look at OS_AUTH_URL"))
    })?;
    value.set_sensitive(true);
    let admin = facts.roles.iter().any(|role| role.name == ADMIN);
    Ok(Token { value, life: facts.life(), admin })
}

impl Facts {
    /// Both ends are told by Keystone's clock, so ours may be wrong.
    fn life(&self) -> Option<Duration> {
        let issued = time(self.issued_at.as_deref())?;
        Some(self.end()?.duration_since(issued).unwrap_or_default())
    }

    /// When the token runs out.
    pub(super) fn end(&self) -> Option<SystemTime> {
        time(self.expires_at.as_deref())
    }

    pub(super) fn role_names(self) -> Vec<String> {
        self.roles.into_iter().map(|role| role.name).collect()
    }
}

fn time(text: Option<&str>) -> Option<SystemTime> {
    humantime::parse_rfc3339(text?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "open-sesame";

    fn request() -> Request {
        let fields =
            [("auth_url", "http://ks:5000"), ("username", "u"), ("user_domain_id", "default"), ("password", SECRET)];
        let credentials = Credentials::from_fields(fields.map(|(name, value)| (name, value.to_owned()))).unwrap();
        let Login::Keystone(request) = credentials.login else { panic!("a password is for Keystone") };
        request
    }

    fn answered(status: u16, text: &str) -> Result<Token, Error> {
        let headers = HeaderMap::from_iter([(SUBJECT_TOKEN, HeaderValue::from_static("gAAAA"))]);
        read(&request(), StatusCode::from_u16(status).unwrap(), &headers, text.as_bytes())
    }

    #[test]
    fn a_token_lives_as_long_as_keystone_says() {
        let token = answered(
            201,
            r#"{"token": {"issued_at": "2026-11-23T02:00:00.000000Z", "expires_at": "2026-11-23T03:00:00.500000Z",
                "roles": [{"id": "1", "name": "member"}, {"id": "2", "name": "admin"}]}}"#,
        )
        .unwrap();
        assert_eq!((token.life, token.admin), (Some(Duration::from_millis(3_600_500)), true));
        assert!(token.field()["x-auth-token"].is_sensitive());
        assert!(!format!("{token:?}").contains("gAAAA"));
        let token = answered(201, r#"{"token": {"methods": ["password"]}}"#).unwrap();
        assert_eq!((token.life, token.admin), (None, false));
    }

    #[test]
    fn what_is_wrong_is_told_and_no_secret() {
        for (status, text, words) in [
            (401, r#"{"error": {"message": "The request you have made requires authentication."}}"#, "OS_PASSWORD"),
            (401, "", "OS_PASSWORD"),
            (400, r#"{"error": {"message": "'open-sesame' is too short"}}"#, "OS_AUTH_URL"),
            (400, r#"{"error": {"message": "Expecting to find domain in user"}}"#, "cannot use the credentials"),
            (404, "<html>", "OS_AUTH_URL"),
            (300, r#"{"versions": {}}"#, "OS_AUTH_URL"),
            (301, "", "OS_AUTH_URL"),
            (200, r#"{"hello": "world"}"#, "OS_AUTH_URL"),
            (201, r#"{"hello": "world"}"#, "OS_AUTH_URL"),
            (503, "", "fails: 503"),
        ] {
            let error = answered(status, text).unwrap_err();
            let told = crate::error::chain(&error);
            assert!(told.contains(words), "{status} {text}: {told}");
            assert!(told.contains("http://ks:5000/v3/auth/tokens") && !told.contains(SECRET), "{told}");
        }
    }
}
