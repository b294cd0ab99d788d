//! A Glance API as the origin: its paths, and what it says of an image.

use ::http::header::{ACCEPT, HeaderMap, HeaderName, RANGE};
use ::http::{HeaderValue, Method, StatusCode};
use futures_util::TryStreamExt;
use icewell::{Digest, ImageId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{Answer, Ask, Http, NoAnswer, Reach};
use crate::error::Error;
use crate::key::Key;

/// The longest description of an image that is read.
const MAX_DESCRIPTION: usize = 1 << 20;
/// All but unreserved characters (RFC 3986 §2.3).
const NOT_IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A Glance API.
#[derive(Debug)]
pub(crate) struct Glance {
    http: Http,
    identity: String,
}

/// What Glance says of an image (`GET /v2/images/{id}`).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Description {
    pub(crate) status: String,
    pub(crate) size: Option<u64>,
    pub(crate) name: Option<String>,
    /// The MD5 in hex.
    pub(crate) checksum: Option<String>,
    os_hash_algo: Option<String>,
    os_hash_value: Option<String>,
}

impl Description {
    /// The digest Glance vouches for: `os_hash_value`, else its MD5 `checksum`.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let strong = self.os_hash_algo.as_ref().zip(self.os_hash_value.as_ref());
        let strong = strong.and_then(|(algorithm, value)| format!("{algorithm}:{value}").parse().ok());
        strong.or_else(|| format!("md5:{}", self.checksum.as_ref()?).parse().ok())
    }
}

impl Glance {
    /// `glance+http://…` or `glance+https://…`.
    pub(super) fn new(text: &str, reach: &Reach) -> Result<Self, Error> {
        let http = Http::new(text.strip_prefix("glance+").unwrap_or(text), reach)?;
        let identity = format!("glance+{}", http.identity());
        Ok(Glance { http, identity })
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        self.http.ask(ask).await
    }

    /// The key of an image's data.
    pub(crate) fn key(id: ImageId, query: Option<&str>) -> Key {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Key { path_and_query: format!("{}/file{query}", path(&id)), id }
    }

    /// What Glance tells this caller of the image: its description, or the answer that stands in its place.
    pub(crate) async fn describe(
        &self,
        id: &ImageId,
        caller: &HeaderMap,
    ) -> Result<Result<Description, Answer>, NoAnswer> {
        let ask = Ask { headers: caller.clone(), ..Glance::ask_for_description(id) };
        Glance::description(self.http.ask(&ask).await?).await
    }

    /// The question for an image's description, in nobody's name.
    pub(crate) fn ask_for_description(id: &ImageId) -> Ask {
        Ask { method: Method::GET, path_and_query: path(id), headers: HeaderMap::new() }
    }

    /// The description in an answer, or the answer that stands in its place.
    pub(crate) async fn description(mut answer: Answer) -> Result<Result<Description, Answer>, NoAnswer> {
        if answer.status != StatusCode::OK {
            return Ok(Err(answer));
        }
        let broken = |reason: String| NoAnswer { status: StatusCode::BAD_GATEWAY, reason };
        let mut text = Vec::new();
        while let Some(piece) = answer.body.try_next().await.map_err(|error| broken(error.to_string()))? {
            if text.len() + piece.len() > MAX_DESCRIPTION {
                return Err(broken("its description of the image is too long".into()));
            }
            text.extend_from_slice(&piece);
        }
        serde_json::from_slice(&text).map(Ok).map_err(|error| broken(format!("its description is no image's: {error}")))
    }

    /// Asks for the first byte beyond the end: Glance answers 416 to whom it would give the image, after its policy and
    /// without touching the store, and refuses whom it would refuse.
    pub(crate) async fn ask_beyond(&self, id: &ImageId, caller: &HeaderMap, size: u64) -> Result<Answer, NoAnswer> {
        let mut headers = caller.clone();
        if let Ok(range) = HeaderValue::try_from(format!("bytes={size}-")) {
            headers.insert(RANGE, range);
        }
        let path_and_query = format!("{}/file", path(id));
        self.http.ask(&Ask { method: Method::GET, path_and_query, headers }).await
    }

    /// What Glance answers this caller who wants to see its own cache. It need not have one to tell who may.
    pub(crate) async fn ask_for_cache(&self, caller: HeaderMap) -> Result<Answer, NoAnswer> {
        self.http.ask(&Ask { method: Method::GET, path_and_query: "/v2/cache".into(), headers: caller }).await
    }
}

/// An image's path. Nothing in its ID, whatever that is, can lead anywhere else.
fn path(id: &ImageId) -> String {
    format!("/v2/images/{}", utf8_percent_encode(id.as_str(), NOT_IN_A_PATH))
}

/// The image whose data a path names: `/v2/images/{id}/file`.
pub(crate) fn image_of_file(path: &str) -> Option<ImageId> {
    image_of(path.strip_suffix("/file")?)
}

/// The image that a path names: `/v2/images/{id}`. Only plain names: nobody has to guess what Glance makes of others.
pub(crate) fn image_of(path: &str) -> Option<ImageId> {
    ImageId::new(path.strip_prefix("/v2/images/")?).ok().filter(is_plain)
}

/// Whether an ID stands in a path as it is.
fn is_plain(id: &ImageId) -> bool {
    id.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The fields that tell who a caller is, or may: for Keystone's token, and for the contexts that a Glance without Keystone
/// takes from the request itself. And `Accept`, so that a refusal has the form that this caller would have got.
pub(crate) fn caller_fields(client: &HeaderMap) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in client {
        if tells_who(name) {
            let mut value = value.clone();
            value.set_sensitive(true);
            fields.append(name.clone(), value);
        } else if name == ACCEPT {
            fields.append(name.clone(), value.clone());
        }
    }
    fields
}

/// Whether a field may tell who asks.
pub(super) fn tells_who(name: &HeaderName) -> bool {
    let name = name.as_str();
    let about_the_way = ["x-forwarded-", "x-real-ip", "x-request-id", "x-openstack-request-id"];
    matches!(name, "authorization" | "cookie")
        || (name.starts_with("x-") && !about_the_way.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_images() {
        assert_eq!(image_of_file("/v2/images/71c6-ab/file").unwrap().as_str(), "71c6-ab");
        for path in
            ["/v2/images//file", "/v2/images/a/b/file", "/v2/images/%61/file", "/v1/images/a", "/v2/images/a/file/"]
        {
            assert!(image_of_file(path).is_none(), "{path}");
        }
        assert_eq!(image_of("/v2/images/71c6").unwrap().as_str(), "71c6");
        assert!(image_of("/v2/images/71c6/members").is_none());
    }

    #[test]
    fn the_strongest_digest_that_is_one() {
        let description =
            |text: &str| serde_json::from_str::<Description>(text).unwrap().digest().map(|d| d.to_string());
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(
            description(&format!(
                "{{\"status\":\"active\",\"checksum\":\"{md5}\",\"os_hash_algo\":\"sha1\",\
                 \"os_hash_value\":\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"}}"
            )),
            Some("sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709".into())
        );
        assert_eq!(
            description(&format!(
                "{{\"status\":\"active\",\"checksum\":\"{md5}\",\"os_hash_algo\":\"shake\",\"os_hash_value\":\"00\"}}"
            )),
            Some(format!("md5:{md5}"))
        );
        assert_eq!(description("{\"status\":\"queued\",\"checksum\":null,\"size\":null}"), None);
    }

    #[test]
    fn who_asks_is_told_from_how() {
        let mut client = HeaderMap::new();
        for name in ["x-auth-token", "x-roles", "authorization", "x-forwarded-for", "user-agent", "range", "accept"] {
            client.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("v"));
        }
        let caller = caller_fields(&client);
        assert_eq!(caller.len(), 4);
        assert_eq!(caller.keys().filter(|name| tells_who(name)).count(), 3);
        assert!(caller.iter().all(|(name, value)| value.is_sensitive() || name == ACCEPT), "never in a log");
    }
}
