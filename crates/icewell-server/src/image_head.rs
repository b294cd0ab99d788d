//! What is told of an image before its bytes: the same fields from the cache and from a fill under way.

use std::time::SystemTime;

use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_TYPE, DATE, ETAG, EXPIRES, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED,
};
use icewell::{Image, Metadata};

use crate::conditional::Validators;
use crate::freshness::Freshness;

/// An image's fields.
#[derive(Clone, Debug)]
pub(crate) struct ImageHead {
    /// Its size, once it is known.
    pub(crate) size: Option<u64>,
    pub(crate) metadata: Metadata,
    pub(crate) freshness: Freshness,
}

impl ImageHead {
    pub(crate) fn of_image(image: &Image) -> Self {
        ImageHead::of_metadata(Some(image.size), image.metadata.clone())
    }

    pub(crate) fn of_metadata(size: Option<u64>, metadata: Metadata) -> Self {
        let record = metadata.freshness.as_deref();
        let freshness = record.map_or_else(Freshness::always_stale, |record| Freshness::from_json(record.as_bytes()));
        ImageHead { size, metadata, freshness }
    }

    /// Of a whole answer of the origin (a 200), or a part of one (a 206) that tells the whole's size.
    pub(crate) fn of_answer(headers: &HeaderMap, size: Option<u64>, received: SystemTime) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
        let freshness = Freshness::new(headers, received);
        let metadata = Metadata {
            name: None,
            validators: icewell::Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) },
            content_type: text(CONTENT_TYPE),
            freshness: freshness.to_json(),
        };
        ImageHead { size, metadata, freshness }
    }

    pub(crate) fn validators(&self) -> Validators<'_> {
        let icewell::Validators { etag, last_modified } = &self.metadata.validators;
        Validators { etag: etag.as_deref(), last_modified: last_modified.as_deref(), date: self.freshness.date() }
    }

    /// The fields of a response that sends the image, or tells that the client has it.
    pub(crate) fn fields(&self, now: SystemTime) -> HeaderMap {
        let mut fields = HeaderMap::new();
        let mut insert = |name: HeaderName, value: Option<&str>| {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                fields.insert(name, value);
            }
        };
        let age = self.freshness.age(now).map(|age| age.to_string());
        insert(ACCEPT_RANGES, Some("bytes"));
        insert(ETAG, self.metadata.validators.etag.as_deref());
        insert(LAST_MODIFIED, self.metadata.validators.last_modified.as_deref());
        insert(CONTENT_TYPE, self.metadata.content_type.as_deref());
        insert(CACHE_CONTROL, self.freshness.get(&CACHE_CONTROL));
        insert(EXPIRES, self.freshness.get(&EXPIRES));
        insert(DATE, self.freshness.date());
        insert(HeaderName::from_static("content-md5"), self.freshness.get(&HeaderName::from_static("content-md5")));
        insert(AGE, age.as_deref());
        fields
    }
}
