//! From the fields that OpenStack's clients read to the one request that logs in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderValue, Uri};
use serde_json::{Value, json};
use url::Url;

use crate::error::Error;

/// The fields that [`Credentials::from_fields`] knows, by the names that OpenStack's clients give them: `auth_url` is
/// `--os-auth-url`, `OS_AUTH_URL`, and `auth_url` of a cloud in `clouds.yaml`.
pub const FIELDS: [&str; 24] = [
    "auth_url",
    "auth_type",
    "username",
    "user_id",
    "user_domain_name",
    "user_domain_id",
    "password",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
    "token",
    "project_name",
    "project_id",
    "project_domain_name",
    "project_domain_id",
    "domain_name",
    "domain_id",
    "system_scope",
    "trust_id",
    "default_domain_name",
    "default_domain_id",
    "cacert",
    "insecure",
    "verify",
];

/// Who somebody is to Keystone: checked, and not yet used.
///
/// Nothing of it can be printed but who it is and where.
#[derive(Clone)]
pub struct Credentials {
    pub(super) login: Login,
    pub(super) ca: Option<PathBuf>,
}

/// How to come by a token.
#[derive(Clone)]
pub(super) enum Login {
    /// Somebody else obtained it; it is used as it is, and cannot be renewed.
    Ready(HeaderValue),
    Keystone(Request),
}

/// The request that logs in.
#[derive(Clone)]
pub(super) struct Request {
    /// Keystone's `/v3/auth/tokens`.
    pub(super) url: Uri,
    /// In JSON, with the secret in it.
    pub(super) body: Bytes,
    /// What must not be in any message, whoever wrote it.
    pub(super) secret: String,
    /// Which fields Keystone judges.
    pub(super) judged: &'static str,
    /// Who logs in, for people.
    who: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Credentials");
        match &self.login {
            Login::Ready(_) => shown.field("who", &"a token"),
            Login::Keystone(request) => shown.field("who", &request.who).field("at", &request.url),
        };
        shown.field("ca", &self.ca).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Credentials of these fields, named as in [`FIELDS`]; empty ones count as missing, and others are not looked at.
    ///
    /// `auth_type` says which way: `password`, `token` (another token in exchange for this one),
    /// `v3applicationcredential`, or `admin_token` (the token as it is). Without it, it is the one whose secret is
    /// there; a token without an `auth_url` is taken as it is.
    ///
    /// # Errors
    ///
    /// A usage error that names the field which is missing, or makes no sense.
    pub fn from_fields<N: AsRef<str>>(fields: impl IntoIterator<Item = (N, String)>) -> Result<Self, Error> {
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let fields = Fields(fields.map(|(name, value)| (name.as_ref().to_owned(), value)).collect());
        if fields.get("insecure").is_some_and(is_true) || fields.get("verify").is_some_and(is_false) {
            let ca = named("cacert");
            return Err(Error::usage(format!(
                "cannot log in without a look at certificates (insecure, or verify: false); name Keystone's CA in {ca}"
            )));
        }
        Ok(Credentials { login: fields.login()?, ca: fields.get("cacert").map(expanded) })
    }

    /// A token as it is, obtained by somebody else.
    ///
    /// # Errors
    ///
    /// A usage error where it cannot be a field of a request.
    pub fn from_token(token: &str) -> Result<Self, Error> {
        Ok(Credentials { login: ready(token)?, ca: None })
    }

    /// A file of certificates (PEM) to trust besides the system's.
    pub fn ca(&self) -> Option<&std::path::Path> {
        self.ca.as_deref()
    }

    /// Whether they say where a Keystone is.
    pub(crate) fn are_for_keystone(&self) -> bool {
        matches!(self.login, Login::Keystone(_))
    }

    /// Who it is, for people.
    pub(crate) fn who(&self) -> &str {
        match &self.login {
            Login::Ready(_) => "a given token",
            Login::Keystone(request) => &request.who,
        }
    }
}

fn ready(token: &str) -> Result<Login, Error> {
    let token = HeaderValue::from_str(token.trim());
    let mut token = token.map_err(|_| Error::usage(format!("{} is no token", named("token"))))?;
    token.set_sensitive(true);
    Ok(Login::Ready(token))
}

/// A field, as whoever has to set it knows it.
fn named(field: &str) -> String {
    format!("OS_{} ({field} in clouds.yaml)", field.to_uppercase())
}

fn missing(field: &str, why: &str) -> Error {
    Error::usage(format!("cannot log in at Keystone: set {}; {why}", named(field)))
}

/// YAML's words for truth, old ones too.
fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on")
}

fn is_false(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "false" | "no" | "off")
}

/// `~/` in front is the user's home.
fn expanded(path: &str) -> PathBuf {
    let home = std::env::home_dir();
    path.strip_prefix("~/").zip(home).map_or_else(|| path.into(), |(rest, home)| home.join(rest))
}

/// The fields that are set.
struct Fields(BTreeMap<String, String>);

/// Which way to log in.
enum Way {
    Password,
    ApplicationCredential,
    Token,
    Ready,
}

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn need(&self, name: &str, why: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| missing(name, why))
    }

    fn login(&self) -> Result<Login, Error> {
        let way = self.way()?;
        if let Way::Ready = way {
            return ready(self.need("token", "the auth_type asks for a token")?);
        }
        let url = token_url(self.need("auth_url", "it is where Keystone listens, such as https://cloud.example/v3")?)?;
        let (method, identity, secret, judged, who) = match way {
            Way::Password => self.password()?,
            Way::ApplicationCredential => self.application_credential()?,
            Way::Token | Way::Ready => {
                let token = self.need("token", "the auth_type asks for a token")?;
                ("token", json!({ "id": token }), token, "OS_TOKEN", "a given token".to_owned())
            }
        };
        let mut auth = json!({ "identity": { "methods": [method], method: identity } });
        // What an application credential is good for was settled when it was made.
        if let Some(scope) = self.scope()?.filter(|_| !matches!(way, Way::ApplicationCredential)) {
            auth["scope"] = scope;
        }
        let body = json!({ "auth": auth }).to_string().into();
        Ok(Login::Keystone(Request { url, body, secret: secret.to_owned(), judged, who }))
    }

    fn way(&self) -> Result<Way, Error> {
        match self.get("auth_type") {
            // Clients take `password` for granted where nothing is said.
            None if self.get("password").is_some() => Ok(Way::Password),
            None if self.get("application_credential_secret").is_some() => Ok(Way::ApplicationCredential),
            None if self.get("token").is_some() => {
                Ok(if self.get("auth_url").is_some() { Way::Token } else { Way::Ready })
            }
            None | Some("password" | "v3password") => Ok(Way::Password),
            Some("v3applicationcredential") => Ok(Way::ApplicationCredential),
            Some("token" | "v3token") => Ok(Way::Token),
            Some("admin_token" | "token_endpoint") => Ok(Way::Ready),
            Some(other) => Err(Error::usage(format!(
                "cannot log in with {} {other:?}: it can be password, v3applicationcredential, token or admin_token",
                named("auth_type")
            ))),
        }
    }

    fn password(&self) -> Result<Identity<'_>, Error> {
        let mut user = self.user("it says who logs in")?;
        let password = self.need("password", "a user needs one")?;
        user["password"] = password.into();
        let who = self.get("username").or(self.get("user_id")).unwrap_or_default();
        let judged = "OS_USERNAME, OS_PASSWORD, OS_USER_DOMAIN_NAME and the project's name and domain";
        Ok(("password", json!({ "user": user }), password, judged, format!("user {who:?}")))
    }

    fn application_credential(&self) -> Result<Identity<'_>, Error> {
        let secret = self.need("application_credential_secret", "an application credential has one")?;
        let (identity, who) = match (self.get("application_credential_id"), self.get("application_credential_name")) {
            (Some(id), _) => (json!({ "id": id, "secret": secret }), id),
            (None, Some(name)) => {
                let user = self.user("an application credential named by its name needs its user")?;
                (json!({ "name": name, "user": user, "secret": secret }), name)
            }
            (None, None) => return Err(missing("application_credential_id", "or OS_APPLICATION_CREDENTIAL_NAME")),
        };
        let judged = "OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET";
        Ok(("application_credential", identity, secret, judged, format!("application credential {who:?}")))
    }

    fn user(&self, why: &str) -> Result<Value, Error> {
        if let Some(id) = self.get("user_id") {
            return Ok(json!({ "id": id }));
        }
        let name = self.need("username", why)?;
        let domain = self.domain("user").ok_or_else(|| {
            missing("user_domain_name", "or OS_USER_DOMAIN_ID: a user's name is unique within a domain only")
        })?;
        Ok(json!({ "name": name, "domain": domain }))
    }

    /// What the token is to be good for. The ID counts before the name.
    fn scope(&self) -> Result<Option<Value>, Error> {
        let domain = self.named_or_id("domain_id", "domain_name");
        let project = match (self.get("project_id"), self.get("project_name")) {
            (Some(id), _) => Some(json!({ "id": id })),
            (None, Some(name)) => {
                let domain = self.domain("project").ok_or_else(|| {
                    let why = "or OS_PROJECT_DOMAIN_ID: a project's name is unique within a domain only";
                    missing("project_domain_name", why)
                })?;
                Some(json!({ "name": name, "domain": domain }))
            }
            (None, None) => None,
        };
        let system = match self.get("system_scope") {
            Some("all") => Some(json!({ "all": true })),
            Some(other) => {
                let name = named("system_scope");
                return Err(Error::usage(format!("cannot log in with {name} {other:?}: it can be all")));
            }
            None => None,
        };
        let trust = self.get("trust_id").map(|id| json!({ "id": id }));
        let mut scopes = [("domain", domain), ("project", project), ("system", system), ("OS-TRUST:trust", trust)]
            .into_iter()
            .filter_map(|(what, which)| Some((what, which?)));
        match (scopes.next(), scopes.next()) {
            (Some((one, _)), Some((other, _))) => {
                Err(Error::usage(format!("cannot log in for a {one} and a {other} at once; name one of them")))
            }
            (scope, _) => Ok(scope.map(|(what, which)| json!({ what: which }))),
        }
    }

    fn domain(&self, whose: &str) -> Option<Value> {
        self.named_or_id(&format!("{whose}_domain_id"), &format!("{whose}_domain_name"))
            .or_else(|| self.named_or_id("default_domain_id", "default_domain_name"))
    }

    fn named_or_id(&self, id: &str, name: &str) -> Option<Value> {
        let id = self.get(id).map(|id| json!({ "id": id }));
        id.or_else(|| self.get(name).map(|name| json!({ "name": name })))
    }
}

/// The method, what it says of who logs in, its secret, the fields it is judged by, and who it is for people.
type Identity<'a> = (&'static str, Value, &'a str, &'static str, String);

/// Where Keystone gives tokens: `auth_url` is written with and without its version.
fn token_url(text: &str) -> Result<Uri, Error> {
    let refuse = |why: &str| Error::usage(format!("cannot use {}: {why}", named("auth_url")));
    let url = Url::parse(text).map_err(|error| refuse("it is not a URL").with_source(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("it is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it has a user or a password in it"));
    }
    let base = text.split(['?', '#']).next().unwrap_or(text).trim_end_matches('/');
    if base.ends_with("/v2.0") {
        return Err(refuse("it names Keystone's version 2.0, and only version 3 is spoken here"));
    }
    let base = base.strip_suffix("/v3").unwrap_or(base);
    // The list of services is long, and nobody here reads it.
    let tokens = format!("{base}/v3/auth/tokens?nocatalog");
    tokens.parse().map_err(|error: http::uri::InvalidUri| refuse("it is not a URL").with_source(error))
}

#[cfg(test)]
mod tests;
