//! Which span of which trace, as W3C's Trace Context tells it from one program to the next: `traceparent`, `tracestate`.
//!
//! A client's word counts for whether a trace is kept; a trace that begins here is kept by chance.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The longest list of what others added that is passed on: what the standard wants at least (§3.3.1.5).
const MAX_STATE: usize = 512;
/// The flag of a trace that is kept.
const SAMPLED: u8 = 1;
/// The flags that have a meaning: that one, and that the trace's ID is random (level 2 of the standard).
const KNOWN_FLAGS: u8 = 3;

/// A number in lower case hexadecimals; never zero.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id<const N: usize>([u8; N]);

/// Where in which trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) trace: Id<16>,
    pub(crate) span: Id<8>,
    flags: u8,
    /// What others on the way have added, for those who know it.
    pub(crate) state: Option<HeaderValue>,
}

/// Which traces that begin here are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler(u64);

impl Sampler {
    /// This share of them: 1 for all, 0 for none.
    pub(super) fn new(share: f64) -> Self {
        // A share of 1 is more than there are numbers, and so saturates.
        Sampler((share * 2f64.powi(64)) as u64)
    }

    /// By the ID, so that other programs that go by the same share keep the same traces.
    fn keeps(self, trace: Id<16>) -> bool {
        let low = trace.0[8..].iter().fold(0, |low, byte| low << 8 | u64::from(*byte));
        self.0 == u64::MAX || low < self.0
    }
}

impl Context {
    /// The beginning of a trace.
    pub(super) fn root(sampler: Sampler) -> Self {
        let trace = Id::random();
        let flags = if sampler.keeps(trace) { SAMPLED } else { 0 };
        Context { trace, span: Id::random(), flags, state: None }
    }

    /// A span that follows from this one.
    pub(super) fn child(&self) -> Self {
        Context { span: Id::random(), ..self.clone() }
    }

    /// Whether anybody keeps the trace.
    pub(crate) fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub(super) fn flags(&self) -> u8 {
        self.flags
    }

    /// What a request's fields tell of who asks; none where they tell nothing, or nonsense.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next().filter(|_| parents.next().is_none())?;
        let (trace, span, flags) = parse(parent.to_str().ok()?)?;
        let states: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(HeaderValue::as_bytes).collect();
        let state = states.join(&b","[..]);
        let told = !state.is_empty() && state.len() <= MAX_STATE;
        let state = if told { HeaderValue::from_bytes(&state).ok() } else { None };
        Some(Context { trace, span, flags: flags & KNOWN_FLAGS, state })
    }

    /// Tells it to whom a request goes.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        if let Ok(parent) = HeaderValue::try_from(format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags)) {
            headers.insert(TRACEPARENT, parent);
        }
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
    }
}

/// `00-TRACE-SPAN-FLAGS`. Of a later version what this one knows (§4.3).
fn parse(text: &str) -> Option<(Id<16>, Id<8>, u8)> {
    let mut fields = text.split('-');
    let version = byte(fields.next()?)?;
    let known = (Id::parse(fields.next()?)?, Id::parse(fields.next()?)?, byte(fields.next()?)?);
    let ends = fields.next().is_none();
    (version != 0xff && (ends || version != 0)).then_some(known)
}

fn byte(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if digits { u8::from_str_radix(text, 16).ok() } else { None }
}

impl<const N: usize> Id<N> {
    fn parse(text: &str) -> Option<Self> {
        let mut id = [0; N];
        if text.len() != 2 * N {
            return None;
        }
        for (at, place) in id.iter_mut().enumerate() {
            *place = byte(text.get(2 * at..2 * at + 2)?)?;
        }
        (id != [0; N]).then_some(Id(id))
    }

    fn random() -> Self {
        let mut id = [0; N];
        while id == [0; N] {
            for part in id.chunks_mut(8) {
                part.copy_from_slice(&random().to_be_bytes()[..part.len()]);
            }
        }
        Id(id)
    }
}

/// A number that nobody can tell beforehand: a counter, hashed with keys that the system gave at random.
fn random() -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    KEYS.hash_one(COUNT.fetch_add(1, Ordering::Relaxed))
}

impl<const N: usize> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn of(fields: &[(HeaderName, &str)]) -> Option<Context> {
        let mut headers = HeaderMap::new();
        fields.iter().for_each(|(name, value)| {
            headers.append(name, value.parse().unwrap());
        });
        Context::of(&headers)
    }

    #[test]
    fn what_a_client_tells_is_told_to_the_origin() {
        let parent = format!("00-{TRACE}-{SPAN}-03");
        let client = of(&[(TRACEPARENT, &parent), (TRACESTATE, "a=1"), (TRACESTATE, "b=2,c=3")]).unwrap();
        assert!(client.is_sampled());
        let child = client.child();
        let mut headers = HeaderMap::new();
        child.add_to(&mut headers);
        assert_eq!(headers[TRACEPARENT], format!("00-{TRACE}-{}-03", child.span));
        assert_eq!(headers[TRACESTATE], "a=1,b=2,c=3");
        assert_ne!(child.span, client.span);
        assert!(!of(&[(TRACEPARENT, &format!("00-{TRACE}-{SPAN}-fe"))]).unwrap().is_sampled());
        assert_eq!(of(&[(TRACEPARENT, &parent), (TRACESTATE, &"x".repeat(513))]).unwrap().state, None);
    }

    #[test]
    fn nonsense_is_no_parent() {
        for nonsense in [
            "".into(),
            "00".into(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}-{SPAN}-+1"),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-{TRACE}-é{}-01", &SPAN[2..]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_bytes(nonsense.as_bytes()).unwrap());
            assert_eq!(Context::of(&headers), None, "{nonsense}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(of(&[(TRACEPARENT, &good), (TRACEPARENT, &good)]), None, "whose is it?");
        assert!(of(&[(TRACEPARENT, &format!("cc-{TRACE}-{SPAN}-01-what-comes"))]).is_some(), "a later version");
    }

    #[test]
    fn a_share_of_what_begins_here_is_kept() {
        let kept = |share| (0..4000).filter(|_| Context::root(Sampler::new(share)).is_sampled()).count();
        assert_eq!((kept(0.0), kept(1.0)), (0, 4000));
        assert!((800..1200).contains(&kept(0.25)), "{}", kept(0.25));
    }
}
