//! Steps 4 and 5: conditions, then ranges, then the body.

use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
};
use http::{Response, StatusCode};

use super::{Answered, Asked};
use crate::body::{Body, ImageBody, Segment, Source};
use crate::cache_status::CacheStatus;
use crate::conditional::{self, Decision};
use crate::fill::Progress;
use crate::image_head::ImageHead;
use crate::range::{Multipart, Part, Ranges, Resolved, content_range, unsatisfied_content_range};
use crate::request_log::Outcome;

impl Asked<'_> {
    /// The part that is asked for of an image whose size is not known yet, and whether it is there. Several parts, or one
    /// up to the end, cannot be told from what is not satisfiable: the whole is the answer to those.
    pub(super) fn part_of_unknown(&self, progress: &Progress) -> Option<(Part, bool)> {
        let part = Ranges::from_headers(self.headers).filter(|_| !self.head_only)?.without_size()?;
        let part = Part { start: part.start, end: part.end? };
        Some((part, part.end <= progress.visible()))
    }

    fn image_body(&self, source: Source, segments: impl IntoIterator<Item = Segment>) -> Body {
        Body::Image(ImageBody::new(source, self.client.sending(), segments))
    }

    /// `part` is the one asked for of an image whose size is not known yet.
    pub(super) fn send(
        &self,
        head: &ImageHead,
        fields: HeaderMap,
        source: Source,
        part: Option<Part>,
        status: &CacheStatus,
    ) -> Answered {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = fields;
        self.daemon.pseudonym.add_to(response.headers_mut());
        status.append_to(response.headers_mut());
        match conditional::evaluate(self.headers, &head.validators()) {
            Decision::Proceed => {}
            Decision::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response.headers_mut().remove(CONTENT_TYPE);
                return response.into();
            }
            Decision::PreconditionFailed => {
                *response.status_mut() = StatusCode::PRECONDITION_FAILED;
                for name in [CONTENT_TYPE, ETAG, LAST_MODIFIED, EXPIRES] {
                    response.headers_mut().remove(name);
                }
                return response.into();
            }
        }
        let ranges = Ranges::from_headers(self.headers)
            .filter(|_| !self.head_only && conditional::if_range_holds(self.headers, &head.validators()));
        let resolved = match (head.size, ranges, part) {
            (Some(size), Some(ranges), _) => Some((Some(size), ranges.resolve(size))),
            (None, Some(_), Some(part)) => Some((None, Resolved::Parts(vec![part]))),
            _ => None,
        };
        let mut outcome = Outcome { reads: true, ..Outcome::default() };
        match resolved {
            None | Some((_, Resolved::Whole)) => {
                if let Some(size) = head.size {
                    response.headers_mut().insert(CONTENT_LENGTH, size.into());
                }
                outcome.hit = Some(head.size);
                *response.body_mut() = self.image_body(source, [Segment::Image { start: 0, end: head.size }]);
            }
            Some((size, Resolved::NotSatisfiable)) => {
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                set(&mut response, CONTENT_RANGE, &unsatisfied_content_range(size.unwrap_or_default()));
                outcome.reads = false;
            }
            Some((size, Resolved::Parts(parts))) if parts.len() == 1 => {
                let part = parts[0];
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                set(&mut response, CONTENT_RANGE, &content_range(part, size));
                response.headers_mut().insert(CONTENT_LENGTH, part.len().into());
                outcome.hit = (part.start == 0).then_some(Some(part.len()));
                *response.body_mut() =
                    self.image_body(source, [Segment::Image { start: part.start, end: Some(part.end) }]);
            }
            Some((size, Resolved::Parts(parts))) => {
                // Several parts are resolved only where the size is known.
                let size = size.unwrap_or_default();
                let multipart = Multipart::new(parts, size, response.headers().get(CONTENT_TYPE).cloned());
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                set(&mut response, CONTENT_TYPE, &multipart.content_type());
                response.headers_mut().insert(CONTENT_LENGTH, multipart.content_length().into());
                let segments = multipart.parts().iter().flat_map(|part| {
                    let image = Segment::Image { start: part.start, end: Some(part.end) };
                    [Segment::Text(multipart.head(*part)), image]
                });
                let tail = Segment::Text(multipart.tail());
                *response.body_mut() = self.image_body(source, segments.chain([tail]).collect::<Vec<_>>());
            }
        }
        Answered { response, outcome }
    }
}

pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}
