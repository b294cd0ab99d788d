//! What every front end of a cache must do alike: the library, the HTTP API, the command, Python.
//!
//! A front end implements [`Store`] in its own tests, takes this file in by `#[path]`, and calls [`run`] with a maker of
//! empty stores. Python reads the same cases (`bindings/python/tests/test_conformance.py`).
#![allow(unreachable_pub, reason = "the tests of several crates take this file in")]

/// A cache, as one of its front ends shows it.
pub trait Store {
    /// Caches an image, as this front end does it: puts bytes in, or fetches them from its origin.
    fn put(&self, id: &str, bytes: &[u8]);
    /// Reads a cached image, which counts as a hit; none if it is not cached.
    fn get(&self, id: &str) -> Option<Vec<u8>>;
    /// Drops a cached image; whether it was cached.
    fn remove(&self, id: &str) -> bool;
    /// The cached images by ID: ID, size, hits.
    fn list(&self) -> Vec<(String, u64, u64)>;
    /// Queues an image; whether it was neither cached nor queued.
    fn queue(&self, id: &str) -> bool;
    /// The queue, in order.
    fn queued(&self) -> Vec<String>;
    /// Takes an image off the queue; whether it was on it.
    fn unqueue(&self, id: &str) -> bool;
    /// Prunes to a limit; files and bytes removed.
    fn prune(&self, max_size: u64) -> (u64, u64);
    /// Drops all images; how many.
    fn remove_all(&self) -> u64;
}

/// Runs every case of `cases.txt`, which says how it is written, on a store of its own.
pub fn run<S: Store>(make: impl Fn() -> S) {
    let mut store = None;
    let mut case = "";
    for line in include_str!("cases.txt").lines() {
        if let Some(name) = line.strip_prefix("case ") {
            eprintln!("conformance: {name}");
            (case, store) = (name, Some(make()));
        } else if !line.is_empty() && !line.starts_with('#') {
            let (operation, expected) = line.split_once(" ->").unwrap_or((line, ""));
            let answer = operate(store.as_ref().unwrap(), operation);
            assert!(answer == expected.trim(), "{case}: {line}: the answer is {answer:.200}");
        }
    }
}

fn operate(store: &impl Store, operation: &str) -> String {
    let words: Vec<&str> = operation.split(' ').collect();
    match words[..] {
        ["put", id, image] => {
            store.put(id, &bytes(image));
            String::new()
        }
        // Written as the case has it where it is the same: so the two can be compared as text.
        ["get", id] => store.get(id).map_or("none".into(), |image| text(&image)),
        ["remove", id] => yes(store.remove(id)),
        ["list"] => joined(store.list().iter().map(|(id, size, hits)| format!("{id}:{size}:{hits}"))),
        ["queue", id] => yes(store.queue(id)),
        ["queued"] => joined(store.queued().into_iter()),
        ["unqueue", id] => yes(store.unqueue(id)),
        ["prune", max_size] => {
            let (files, bytes) = store.prune(max_size.parse().unwrap());
            format!("{files} {bytes}")
        }
        ["remove_all"] => store.remove_all().to_string(),
        _ => panic!("cases.txt has an unknown operation: {operation}"),
    }
}

fn yes(answer: bool) -> String {
    if answer { "yes" } else { "no" }.into()
}

fn joined(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

fn bytes(text: &str) -> Vec<u8> {
    match text {
        "-" => Vec::new(),
        _ if !text.starts_with("0x") => text.into(),
        _ => text.split('+').flat_map(run_of).collect(),
    }
}

fn run_of(text: &str) -> Vec<u8> {
    let (byte, count) = text.strip_prefix("0x").unwrap().split_once('*').unwrap();
    vec![u8::from_str_radix(byte, 16).unwrap(); count.parse().unwrap()]
}

fn text(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".into();
    }
    if bytes.iter().all(u8::is_ascii_lowercase) {
        return String::from_utf8_lossy(bytes).into();
    }
    let runs = bytes.chunk_by(|a, b| a == b).map(|run| format!("0x{:02x}*{}", run[0], run.len()));
    runs.collect::<Vec<_>>().join("+")
}
