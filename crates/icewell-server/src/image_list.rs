//! `GET /v1/images` on the admin listener: what is cached, searched, sorted and cut into pages here, so that whoever looks
//! at it need not hold a million rows.

use std::cmp::Ordering;
use std::sync::Arc;

use icewell::{ImageId, Summary};
use serde::Serialize;
use url::form_urlencoded;

use crate::daemon::{Daemon, blocking};
use crate::status::seconds;

/// How many rows there are in an answer, if nobody says, and at most.
const ROWS: (usize, usize) = (100, 1000);

/// What of the list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Only those with this in their ID or name, in lower case.
    search: String,
    sort: Sort,
    descending: bool,
    offset: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Id,
    Size,
    Hits,
    LastAccessed,
    LastModified,
}

/// Some of the images.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    /// How many are cached.
    total: usize,
    /// How many of them were searched for.
    found: usize,
    offset: usize,
    images: Vec<Row>,
}

/// A cached image.
#[derive(Debug, Serialize)]
struct Row {
    image_id: String,
    /// What people call it, where the origin told.
    name: Option<String>,
    size: u64,
    /// The bytes of disk behind it.
    allocated: u64,
    hits: u64,
    last_accessed: f64,
    last_modified: f64,
    pinned: bool,
    /// `algorithm:hex`, as the origin vouched for it.
    digest: Option<String>,
}

impl Wanted {
    /// By the query of the request.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, String> {
        let mut wanted =
            Wanted { search: String::new(), sort: Sort::LastAccessed, descending: true, offset: 0, limit: ROWS.0 };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let number = || value.parse().map_err(|_| format!("{name}={value} is no number"));
            match &*name {
                "search" => wanted.search = value.to_lowercase(),
                "sort" => {
                    wanted.sort = match &*value {
                        "image_id" => Sort::Id,
                        "size" => Sort::Size,
                        "hits" => Sort::Hits,
                        "last_accessed" => Sort::LastAccessed,
                        "last_modified" => Sort::LastModified,
                        _ => {
                            return Err(format!(
                                "sort={value} is none of image_id, size, hits, last_accessed and last_modified"
                            ));
                        }
                    }
                }
                "order" => {
                    wanted.descending = match &*value {
                        "asc" => false,
                        "desc" => true,
                        _ => return Err(format!("order={value} is neither asc nor desc")),
                    }
                }
                "offset" => wanted.offset = number()?,
                "limit" => wanted.limit = number()?.min(ROWS.1),
                _ => return Err(format!("{name} is none of search, sort, order, offset and limit")),
            }
        }
        Ok(wanted)
    }

    /// Which of these are on the page, in order, and how many were searched for. Only the page is put in order.
    fn choose<'a>(&self, all: &'a [Summary], names: &[Option<Box<str>>]) -> (Vec<&'a Summary>, usize) {
        let named =
            |at: usize| names.get(at).and_then(Option::as_deref).is_some_and(|name| contains(name, &self.search));
        let wanted = |(at, image): &(usize, &Summary)| contains(image.id.as_str(), &self.search) || named(*at);
        let mut found: Vec<&Summary> = all.iter().enumerate().filter(wanted).map(|(_, image)| image).collect();
        let (number, end) = (found.len(), self.offset.saturating_add(self.limit).min(found.len()));
        if self.offset >= end {
            return (Vec::new(), number);
        }
        let order = |a: &&Summary, b: &&Summary| self.order(a, b);
        if end < found.len() {
            found.select_nth_unstable_by(end, order);
            found.truncate(end);
        }
        found.sort_unstable_by(order);
        (found.split_off(self.offset), number)
    }

    fn order(&self, a: &Summary, b: &Summary) -> Ordering {
        let by = match self.sort {
            Sort::Id => a.id.cmp(&b.id),
            Sort::Size => a.size.cmp(&b.size),
            Sort::Hits => a.hits.cmp(&b.hits),
            Sort::LastAccessed => a.last_accessed.cmp(&b.last_accessed),
            Sort::LastModified => a.last_modified.cmp(&b.last_modified),
        };
        // Equals in one order, or a page might show one of them twice and the other never.
        (if self.descending { by.reverse() } else { by }).then_with(|| a.id.cmp(&b.id))
    }
}

/// Whether `text` has `search` in it, whose letters are small.
fn contains(text: &str, search: &str) -> bool {
    search.is_empty() || text.to_lowercase().contains(search)
}

/// The page that is wanted.
///
/// # Errors
///
/// The directory cannot be read.
pub(crate) async fn list(daemon: &Arc<Daemon>, wanted: Wanted) -> Result<Listed, icewell::Error> {
    let counted = daemon.census.listed(&daemon.cache).await?;
    let cache = daemon.cache.clone();
    blocking(move || {
        let all = counted.all.as_deref().unwrap_or_default();
        let names = if wanted.search.is_empty() { &[] } else { counted.names(&cache) };
        let (chosen, found) = wanted.choose(all, names);
        let mut images = Vec::with_capacity(chosen.len());
        for image in chosen {
            // One that has gone meanwhile is no row.
            images.extend(row(&cache, &image.id)?);
        }
        Ok(Listed { total: all.len(), found, offset: wanted.offset, images })
    })
    .await
}

fn row(cache: &icewell::Cache, id: &ImageId) -> Result<Option<Row>, icewell::Error> {
    Ok(cache.image(id)?.map(|image| Row {
        image_id: image.id.to_string(),
        name: image.metadata.name,
        size: image.size,
        allocated: image.allocated,
        hits: image.hits,
        last_accessed: seconds(image.last_accessed),
        last_modified: seconds(image.last_modified),
        pinned: image.pinned,
        digest: image.digest.map(|digest| digest.to_string()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_query() {
        for query in ["sort=name", "order=up", "offset=-1", "limit=x", "page=3", "sort"] {
            assert!(Wanted::parse(Some(query)).is_err(), "{query}");
        }
        let wanted = Wanted::parse(Some("search=A%26b&sort=size&order=asc&offset=7&limit=99999")).unwrap();
        let expected = Wanted { search: "a&b".into(), sort: Sort::Size, descending: false, offset: 7, limit: ROWS.1 };
        assert_eq!(wanted, expected);
    }

    #[test]
    fn pages_of_what_is_searched_for() {
        let dir = tempfile::tempdir().unwrap();
        let cache = icewell::Cache::open(dir.path()).unwrap();
        for name in ["Debian-12", "debian-11", "alpine", "arch", "rocky"] {
            let mut writer = cache.write(&ImageId::new(name).unwrap()).unwrap();
            writer.start(icewell::Announced::default()).unwrap();
            writer.write(name.as_bytes()).unwrap();
            writer.verify().unwrap();
            writer.commit().unwrap();
        }
        let all = cache.summaries().unwrap();
        let names = all.iter().map(|image| (image.id.as_str() == "arch").then(|| "Rolling Linux".into()));
        let names: Vec<Option<Box<str>>> = names.collect();
        let page = |query: &str| {
            let (chosen, found) = Wanted::parse(Some(query)).unwrap().choose(&all, &names);
            (chosen.iter().map(|image| image.id.to_string()).collect::<Vec<_>>().join(" "), found)
        };
        assert_eq!(page("sort=size&order=desc"), ("Debian-12 debian-11 alpine rocky arch".into(), 5));
        assert_eq!(page("sort=size&order=asc&limit=2"), ("arch rocky".into(), 5));
        assert_eq!(page("sort=size&order=asc&limit=2&offset=2"), ("alpine Debian-12".into(), 5));
        assert_eq!(page("sort=size&order=asc&limit=2&offset=4"), ("debian-11".into(), 5));
        assert_eq!(page("sort=hits&offset=5"), (String::new(), 5));
        assert_eq!(page("sort=image_id&order=asc&search=DEBIAN"), ("Debian-12 debian-11".into(), 2));
        assert_eq!(page("sort=last_accessed&order=asc&limit=1"), ("Debian-12".into(), 5));
        assert_eq!(page("search=rolling+l"), ("arch".into(), 1));
        assert_eq!(page("search=nothing"), (String::new(), 0));
        assert_eq!(page("limit=0"), (String::new(), 5));
    }
}
