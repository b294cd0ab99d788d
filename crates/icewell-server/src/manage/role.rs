//! Who may manage the cache by a role of Keystone's, whatever Glance's own policy says.

use http::{HeaderMap, HeaderValue, Response};
use tracing::warn;

use super::TOKENS;
use super::reply::{self, Form};
use super::who::{no_glance, relay_refusal};
use crate::body::Body;
use crate::daemon::Daemon;
use crate::error::Error;
use crate::keystone::{Credentials, Subject};
use crate::origin::{Glance, Origin};

/// The role of those who may manage the cache.
#[derive(Debug)]
pub(crate) struct AdminRole(String);

impl AdminRole {
    /// The role of this name, in front of `origin`; `credentials` are the daemon's own, to ask Keystone with.
    ///
    /// # Errors
    ///
    /// A usage error where nobody could be found to have the role.
    pub(crate) fn new(name: &str, origin: &Origin, credentials: Option<&Credentials>) -> Result<Self, Error> {
        if name.trim().is_empty() {
            return Err(Error::usage("cannot use --admin-role: it names no role"));
        }
        if origin.glance().is_none() {
            let origin = origin.identity();
            return Err(Error::usage(format!(
                "cannot use --admin-role in front of {origin}: roles are for a Glance; set --admin-token-file instead"
            )));
        }
        if !credentials.is_some_and(Credentials::are_for_keystone) {
            return Err(Error::usage(
                "cannot use --admin-role without credentials to ask Keystone with: set OS_AUTH_URL, OS_USERNAME, \
                 OS_PASSWORD and the like, or name a cloud of clouds.yaml with --os-cloud",
            ));
        }
        Ok(AdminRole(name.trim().to_lowercase()))
    }

    /// Names are compared as OpenStack's policies compare them.
    fn is_among(&self, names: &[String]) -> bool {
        names.iter().any(|name| name.to_lowercase() == self.0)
    }
}

/// Whether Keystone says that this caller, whom Glance has just refused, has the role. Without such a role nobody is
/// asked. `asking` is what told Glance who asks, and the way.
///
/// # Errors
///
/// The response in the place of an answer: that the token is nobody's, or that Keystone does not say.
pub(crate) async fn may_by_role(
    daemon: &Daemon,
    glance: &Glance,
    caller: &HeaderMap,
    mut asking: HeaderMap,
    form: Form,
) -> Result<bool, Box<Response<Body>>> {
    let (Some(role), Some(service)) = (&daemon.management.role, &daemon.service) else { return Ok(false) };
    let Some(token) = token_of(caller) else { return Ok(false) };
    match service.ask_about(token).await {
        Ok(Subject::Known(roles)) => {
            let may = role.is_among(&roles);
            if may {
                daemon.permits.remember_manager(caller);
            }
            Ok(may)
        }
        // Glance knows it from earlier. It tells who is nobody so in its own words.
        Ok(Subject::Nobody) => {
            for name in TOKENS {
                asking.remove(name);
            }
            let answer = glance.ask_for_cache(asking).await.map_err(|no_answer| no_glance(form, no_answer))?;
            Err(Box::new(relay_refusal(form, answer)))
        }
        Err(no_answer) => {
            // How the daemon logs in is its operator's to know.
            warn!(reason = no_answer.reason, "Keystone cannot be asked who may manage the cache");
            let message = "Keystone cannot be asked who may manage the cache; the log of the cache says why.";
            Err(Box::new(reply::error(form, no_answer.status, message)))
        }
    }
}

/// The caller's token, from the field in which Glance looks for it; two are none.
fn token_of(caller: &HeaderMap) -> Option<&HeaderValue> {
    let name = TOKENS.into_iter().find(|name| caller.contains_key(*name))?;
    let mut values = caller.get_all(name).iter();
    values.next().filter(|token| !token.is_empty() && values.next().is_none())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn names_are_compared_as_policies_do() {
        let role = AdminRole("cache-ädmin".into());
        for (names, may) in [
            (vec!["reader", "Cache-ÄDMIN"], true),
            (vec!["cache-ädmin"], true),
            (vec![], false),
            (vec!["cache-ädmins", "cache", ""], false),
        ] {
            let names: Vec<String> = names.into_iter().map(Into::into).collect();
            assert_eq!(role.is_among(&names), may, "{names:?}");
        }
    }

    #[test]
    fn the_token_is_where_glance_looks() {
        for (fields, token) in [
            (vec![("x-auth-token", "a"), ("x-storage-token", "s")], Some("a")),
            (vec![("x-storage-token", "s")], Some("s")),
            (vec![("x-auth-token", ""), ("x-storage-token", "s")], None),
            (vec![("x-auth-token", "a"), ("x-auth-token", "b")], None),
            (vec![("authorization", "Bearer a"), ("x-service-token", "a")], None),
            (vec![], None),
        ] {
            let mut caller = HeaderMap::new();
            for (name, value) in &fields {
                caller.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            assert_eq!(token_of(&caller).map(|token| token.to_str().unwrap()), token, "{fields:?}");
        }
    }
}
