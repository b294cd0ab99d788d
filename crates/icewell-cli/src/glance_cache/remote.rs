//! The Glance, or Icewell, whose cache is managed: who asks it, and what its answers mean.

use std::time::Duration;

use icewell_server::{Credentials, LegacyApi};
use serde_json::Value;

use super::manage::Args;
use crate::failure::Failure;

/// How long Keystone may take.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a verb came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The operands are wrong: what is told as it is.
    Operand(String),
    /// There is no such API.
    NotFound,
    Forbidden,
    /// Anything else, in words.
    Other(String),
    /// Standard output fails.
    Output(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Output(failure)
    }
}

impl From<icewell_server::Error> for Trouble {
    fn from(error: icewell_server::Error) -> Self {
        Trouble::Other(Failure::from(error).to_string())
    }
}

/// The management API of one host.
pub(super) struct Remote<'a> {
    args: &'a Args,
    token: Option<String>,
}

impl<'a> Remote<'a> {
    pub(super) fn new(args: &'a Args) -> Self {
        let token = set(args.os_auth_token.as_ref(), "OS_AUTH_TOKEN").or_else(|| variable("OS_TOKEN"));
        Remote { args, token }
    }

    /// The list of this name.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Value>, Trouble> {
        match self.json("GET", name)?.get_mut(name).map(Value::take) {
            Some(Value::Array(images)) => Ok(images),
            _ => Err(Trouble::Other(format!("the answer has no list {name}"))),
        }
    }

    /// Deletes all of a list; how many there were, as the answer says it.
    pub(super) fn delete_all(&mut self, name: &str) -> Result<Value, Trouble> {
        let deleted = self.json("DELETE", name)?.get_mut("num_deleted").map(Value::take);
        deleted.ok_or_else(|| Trouble::Other("the answer does not say how many there were".into()))
    }

    fn json(&mut self, method: &str, name: &str) -> Result<Value, Trouble> {
        let text = self.ask(method, &[name])?;
        serde_json::from_str(&text).map_err(|error| Trouble::Other(format!("the answer is no JSON: {error}")))
    }

    /// Asks, as whoever the options and the environment say; logs in if that is needed, again if a token is refused.
    pub(super) fn ask(&mut self, method: &str, path: &[&str]) -> Result<String, Trouble> {
        let api = LegacyApi::new(&self.args.host, self.args.port)?;
        if self.token.is_none() {
            self.token = self.log_in()?;
        }
        let mut answer = api.ask(method, path, self.token.as_deref())?;
        if answer.status == 401 {
            self.token = self.log_in()?;
            answer = api.ask(method, path, self.token.as_deref())?;
        }
        let body = answer.body;
        let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
        match answer.status {
            200 | 201 | 202 | 204 => Ok(body),
            403 => Err(Trouble::Forbidden),
            404 => Err(Trouble::NotFound),
            400 => Err(Trouble::Other(or(&body, "Data supplied was not valid."))),
            401 => Err(Trouble::Other(or(&body, "You are not authenticated."))),
            409 => Err(Trouble::Other(or(&body, "An object with the same identifier already exists."))),
            500 => Err(Trouble::Other("The request returned 500 Internal Server Error.".into())),
            503 => Err(Trouble::Other(
                "The request returned 503 Service Unavailable. This generally occurs on service overload or other \
                 transient outage."
                    .into(),
            )),
            status => Err(Trouble::Other(format!(
                "The request returned an unexpected status: {status}.\n\nThe response body:\n{body}"
            ))),
        }
    }

    /// A token by password; none where no authentication is wanted.
    fn log_in(&self) -> Result<Option<String>, Trouble> {
        let args = self.args;
        let strategy = set(args.os_auth_strategy.as_ref(), "OS_AUTH_STRATEGY");
        match strategy.as_deref() {
            Some("noauth") => return Ok(None),
            None | Some("keystone") => {}
            Some(other) => return Err(Trouble::Other(format!("Unknown auth strategy '{other}'"))),
        }
        let needed = |name: &str, value: Option<String>| {
            value.ok_or_else(|| Trouble::Other(format!("Missing required credential: {name}")))
        };
        let username = set(args.os_username.as_ref(), "OS_USERNAME").or_else(|| variable("OS_AUTH_USER"));
        let password = set(args.os_password.as_ref(), "OS_PASSWORD").or_else(|| variable("OS_AUTH_KEY"));
        let project = set(args.os_project_name.as_ref(), "OS_PROJECT_NAME").or_else(|| variable("OS_AUTH_PROJECT"));
        let domain = set(args.os_domain_id.as_ref(), "OS_DOMAIN_ID").unwrap_or_else(|| "default".into());
        let project_domain = set(args.os_project_domain_id.as_ref(), "OS_PROJECT_DOMAIN_ID");
        let mut fields = vec![
            ("auth_type", "password".into()),
            ("username", needed("username", username)?),
            ("password", needed("password", password)?),
            ("user_domain_id", set(args.os_user_domain_id.as_ref(), "OS_USER_DOMAIN_ID").unwrap_or(domain)),
            // Not OS_DOMAIN_ID: Glance's tool means to look there, too, and never does.
            ("project_domain_id", project_domain.unwrap_or_else(|| "default".into())),
            ("cacert", variable("OS_CACERT").unwrap_or_default()),
        ];
        match (project, set(args.os_project_id.as_ref(), "OS_PROJECT_ID")) {
            (None, Some(id)) => fields.push(("project_id", id)),
            (project, _) => fields.push(("project_name", needed("project", project)?)),
        }
        let auth_url = needed("auth_url", set(args.os_auth_url.as_ref(), "OS_AUTH_URL"))?;
        // There is nothing to be checked of plain HTTP; of a certificate there is, and that is told.
        if args.insecure && auth_url.starts_with("https:") {
            fields.push(("insecure", "true".into()));
        }
        fields.push(("auth_url", auth_url));
        Ok(Some(Credentials::from_fields(fields)?.token_blocking(LOGIN_TIMEOUT)?))
    }
}

/// The option, else the variable; neither counts where it is empty.
fn set(option: Option<&String>, name: &str) -> Option<String> {
    option.cloned().filter(|value| !value.is_empty()).or_else(|| variable(name))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
