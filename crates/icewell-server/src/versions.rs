//! Glance's list of its versions. A Glance without a cache leaves out those in which managing one came; here there is a
//! cache, and clients look for them before they ask.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::origin::Answer;

/// A longer answer is no list.
const MAX_LIST: usize = 64 << 10;
/// Versions 2.N of which only a Glance with a cache speaks: with `/v2/cache`, with its 202, with clean and prune.
const OF_THE_CACHE: [u64; 3] = [14, 16, 18];

/// The answer as a Glance with a cache would give it, if it is the list; anything else as it is.
pub(crate) async fn complete(method: &Method, path: &str, mut answer: Answer) -> Answer {
    // Whatever has 300 for an answer has the list; and `/versions` has it with 200.
    let listed = match answer.status {
        StatusCode::MULTIPLE_CHOICES => true,
        StatusCode::OK => matches!(path, "/versions" | "/versions/"),
        _ => false,
    };
    let is_json = answer.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !listed || !is_json || answer.headers.contains_key(CONTENT_ENCODING) {
        return answer;
    }
    if *method == Method::HEAD {
        // Not the length of what a GET gets.
        answer.headers.remove(CONTENT_LENGTH);
        return answer;
    }
    let (mut pieces, mut length) = (Vec::new(), 0);
    while length <= MAX_LIST
        && let Some(piece) = answer.body.next().await
    {
        let broken = piece.is_err();
        length += piece.as_ref().map_or(0, Bytes::len);
        pieces.push(piece);
        if broken {
            break;
        }
    }
    let text: Vec<u8> = pieces.iter().flatten().flatten().copied().collect();
    let is_whole = length <= MAX_LIST && pieces.iter().all(Result::is_ok);
    match with_cache(&text).filter(|_| is_whole) {
        Some(list) => {
            answer.headers.insert(CONTENT_LENGTH, list.len().into());
            answer.body = Box::pin(stream::iter([Ok(Bytes::from(list))]));
        }
        None => answer.body = Box::pin(stream::iter(pieces).chain(answer.body)),
    }
    answer
}

/// The list with the versions that it lacks, in Glance's order; none where it lacks none, or is no list.
fn with_cache(text: &[u8]) -> Option<Vec<u8>> {
    let mut list: Value = serde_json::from_slice(text).ok()?;
    let versions = list.get_mut("versions")?.as_array_mut()?;
    let links = versions.iter().find(|version| minor(version).is_some())?.get("links")?.clone();
    let known: Vec<u64> = versions.iter().filter_map(minor).collect();
    let missing: Vec<u64> = OF_THE_CACHE.into_iter().filter(|minor| !known.contains(minor)).collect();
    if missing.is_empty() {
        return None;
    }
    for minor in missing {
        versions.push(json!({ "id": format!("v2.{minor}"), "status": "SUPPORTED", "links": links }));
    }
    let newest = versions.iter().filter_map(minor).max()?;
    for version in versions.iter_mut() {
        if minor(version) == Some(newest) {
            version["status"] = "CURRENT".into();
        } else if version["status"] == "CURRENT" {
            version["status"] = "SUPPORTED".into();
        }
    }
    // From the first version with a cache on the newest comes first; Glance's order of the others stays.
    versions.sort_by_key(|version| std::cmp::Reverse(minor(version).filter(|minor| *minor >= OF_THE_CACHE[0])));
    serde_json::to_vec(&list).ok()
}

/// The N of a version v2.N.
fn minor(version: &Value) -> Option<u64> {
    version.get("id")?.as_str()?.strip_prefix("v2.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(versions: &[(&str, &str)]) -> Vec<u8> {
        let versions: Vec<_> =
            versions.iter().map(|(id, status)| json!({ "id": id, "status": status, "links": ["here"] })).collect();
        json!({ "versions": versions }).to_string().into_bytes()
    }

    #[test]
    fn what_is_missing_is_added_where_glance_has_it() {
        let without =
            list(&[("v2.15", "SUPPORTED"), ("v2.13", "SUPPORTED"), ("v2.17", "CURRENT"), ("v2.7", "DEPRECATED")]);
        let with = list(&[
            ("v2.18", "CURRENT"),
            ("v2.17", "SUPPORTED"),
            ("v2.16", "SUPPORTED"),
            ("v2.15", "SUPPORTED"),
            ("v2.14", "SUPPORTED"),
            ("v2.13", "SUPPORTED"),
            ("v2.7", "DEPRECATED"),
        ]);
        let made: Value = serde_json::from_slice(&with_cache(&without).unwrap()).unwrap();
        assert_eq!(made, serde_json::from_slice::<Value>(&with).unwrap());
        assert_eq!(with_cache(&with), None);
    }

    #[test]
    fn what_a_newer_glance_calls_current_stays_so() {
        let made = with_cache(&list(&[("v2.20", "CURRENT")])).unwrap();
        let made: Value = serde_json::from_slice(&made).unwrap();
        assert_eq!((&made["versions"][0]["id"], &made["versions"][0]["status"]), (&json!("v2.20"), &json!("CURRENT")));
        assert_eq!(made["versions"][1]["status"], "SUPPORTED");
    }

    #[test]
    fn what_is_no_list_stays_as_it_is() {
        for text in ["", "{}", "[]", "{\"versions\": 1}", "{\"versions\": []}", "{\"versions\": [{\"id\": 3}]}"] {
            assert_eq!(with_cache(text.as_bytes()), None, "{text}");
        }
    }
}
