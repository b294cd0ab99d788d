//! What a management request asks for: Glance's paths and verbs, in all the spellings that Glance takes for the same.

use http::Method;
use percent_encoding::percent_decode_str;

/// What is to be done. Images are called by text that nobody has judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `GET /v2/cache`
    List,
    /// `DELETE /v2/cache`
    Clear,
    /// `PUT /v2/cache/{id}`
    Queue(String),
    /// `DELETE /v2/cache/{id}`
    Drop(String),
    /// `GET /v2/cache/nodes/{id}`
    Nodes,
    /// `POST /v2/cache/clean`
    Clean,
    /// `POST /v2/cache/prune`
    Prune,
    /// One of the older API.
    Old(Old),
}

/// What the older API can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Old {
    /// `GET cached_images`
    ListCached,
    /// `DELETE cached_images`
    DropAllCached,
    /// `DELETE cached_images/{id}`
    DropCached(String),
    /// `GET queued_images`
    ListQueued,
    /// `DELETE queued_images`
    UnqueueAll,
    /// `PUT queued_images/{id}`
    Queue(String),
    /// `DELETE queued_images/{id}`
    Unqueue(String),
}

/// A request for the management API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Something that can be done.
    For(Operation),
    /// A path of the API with another verb than these.
    WrongVerb(&'static str),
}

impl Operation {
    /// What Glance's policy calls it.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Operation::List => "cache_list",
            Operation::Clear | Operation::Drop(_) => "cache_delete",
            Operation::Queue(_) => "cache_image",
            Operation::Nodes => "list_cached_nodes",
            Operation::Clean => "cache_clean",
            Operation::Prune => "cache_prune",
            Operation::Old(_) => "manage_image_cache",
        }
    }

    /// Whether Glance refuses a body with it.
    pub(crate) fn takes_no_body(&self) -> bool {
        matches!(self, Operation::List | Operation::Nodes)
    }
}

/// What a request asks of the management API; none where it is not one of its own. `OPTIONS` is about the way here, not
/// about the cache; and wrong verbs of the older API fall through to the rest of Glance, which knows no such path.
pub(crate) fn asked(method: &Method, path: &str) -> Option<Asked> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    // Doubled slashes are one, but one at the end makes another path.
    if *method == Method::OPTIONS || !path.starts_with('/') || path.ends_with('/') {
        return None;
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (version, segments) = segments.split_first()?;
    if is_v2(version) && segments.first() == Some(&"cache") {
        return in_cache(method, segments.get(1..)?);
    }
    if is_v2(version) || *version == "v1" {
        old(method, segments).map(|old| Asked::For(Operation::Old(old)))
    } else {
        None
    }
}

fn in_cache(method: &Method, segments: &[&str]) -> Option<Asked> {
    let (operation, allow) = match (segments, method.as_str()) {
        ([], "GET") => (Some(Operation::List), ""),
        ([], "DELETE") => (Some(Operation::Clear), ""),
        ([], _) => (None, "GET, DELETE"),
        (["clean"], "POST") => (Some(Operation::Clean), ""),
        (["prune"], "POST") => (Some(Operation::Prune), ""),
        (["clean" | "prune"], _) => (None, "POST"),
        ([id], "PUT") => (Some(Operation::Queue((*id).into())), ""),
        ([id], "DELETE") => (Some(Operation::Drop((*id).into())), ""),
        ([_], _) => (None, "DELETE, PUT"),
        (["nodes", _], "GET") => (Some(Operation::Nodes), ""),
        (["nodes", _], _) => (None, "GET"),
        _ => return None,
    };
    Some(operation.map_or(Asked::WrongVerb(allow), Asked::For))
}

fn old(method: &Method, segments: &[&str]) -> Option<Old> {
    Some(match (segments, method.as_str()) {
        (["cached_images"], "GET") => Old::ListCached,
        (["cached_images"], "DELETE") => Old::DropAllCached,
        (["cached_images", id], "DELETE") => Old::DropCached((*id).into()),
        (["queued_images"], "GET") => Old::ListQueued,
        (["queued_images"], "DELETE") => Old::UnqueueAll,
        (["queued_images", id], "PUT") => Old::Queue((*id).into()),
        (["queued_images", id], "DELETE") => Old::Unqueue((*id).into()),
        _ => return None,
    })
}

/// `v2` and `v2.0` to `v2.18` are one to a Glance that has a cache.
fn is_v2(segment: &str) -> bool {
    let minor = segment.strip_prefix("v2.").and_then(|minor| minor.parse::<u8>().ok());
    segment == "v2" || minor.is_some_and(|minor| minor <= 18 && segment == format!("v2.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, path: &str) -> Option<Asked> {
        asked(&method.parse().unwrap(), path)
    }

    #[test]
    fn one_request_in_all_its_spellings() {
        for path in ["/v2/cache", "//v2//cache", "/v2/%63ache", "/v2%2Fcache", "/v2.15/cache", "/v2.18/cache"] {
            assert_eq!(of("GET", path), Some(Asked::For(Operation::List)), "{path}");
        }
        for path in [
            "/v2/cache/",
            "/V2/cache",
            "/v2/Cache",
            "/v2/./cache",
            "/v1/cache",
            "/v2.19/cache",
            "/v2.015/cache",
            "v2/cache",
        ] {
            assert_eq!(of("GET", path), None, "{path}");
        }
        assert_eq!(of("PUT", "/v2/cache//a%25b"), Some(Asked::For(Operation::Queue("a%b".into()))));
        for path in ["/v2/cache/a%2Fb", "/v2/cache/a/", "/v2/cache/%FF", "/v2/cache/nodes/a/b"] {
            assert_eq!(of("PUT", path), None, "{path}");
        }
    }

    #[test]
    fn other_verbs() {
        for (method, path, allow) in [
            ("POST", "/v2/cache", "GET, DELETE"),
            ("HEAD", "/v2/cache", "GET, DELETE"),
            ("PUT", "/v2/cache/clean", "POST"),
            ("DELETE", "/v2/cache/prune", "POST"),
            ("GET", "/v2/cache/nodes", "DELETE, PUT"),
            ("DELETE", "/v2/cache/nodes/a", "GET"),
        ] {
            assert_eq!(of(method, path), Some(Asked::WrongVerb(allow)), "{method} {path}");
        }
        for (method, path) in [("OPTIONS", "/v2/cache"), ("HEAD", "/v2/cached_images"), ("PUT", "/v2/cached_images/a")]
        {
            assert_eq!(of(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn the_older_api_under_both_versions() {
        for version in ["v1", "v2", "v2.2"] {
            let asked = of("DELETE", &format!("/{version}/queued_images/a"));
            assert_eq!(asked, Some(Asked::For(Operation::Old(Old::Unqueue("a".into())))));
        }
    }
}
