//! The short run of a fuzzing target: all of its corpus, and inputs made of that by random changes, the same ones in every
//! run. Included by the unit tests of each crate (`fuzzing.rs`); the long run, which looks for new paths through the code,
//! is `make fuzz`.

use std::fs;
use std::path::Path;

/// What tends to matter: separators, signs, numbers at the edges, encodings of dots and slashes, invalid UTF-8.
const TOKENS: &[&[u8]] = &[
    b"",
    b" ",
    b"\t",
    b"\r\n",
    b"\n",
    b"\0",
    b",",
    b";",
    b"=",
    b":",
    b"-",
    b"+",
    b".",
    b"..",
    b"/",
    b"//",
    b"%",
    b"%2e",
    b"%2f",
    b"%00",
    b"%zz",
    b"?",
    b"#",
    b"*",
    b"\"",
    b"\\",
    b"'",
    b"$",
    b"${",
    b"}",
    b"[",
    b"]",
    b"W/",
    b"bytes",
    b"0",
    b"1",
    b"-1",
    b"00",
    b"4095",
    b"4096",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775808",
    b"99999999999999999999999",
    b"\xff",
    b"\xc0\xae",
    b"\xe2\x80\xae",
    b"\xf0\x9f\x92\xbe",
    b"no-store",
    b"max-age=",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"unknown",
    b"KiB",
    b"h",
    b"&a",
    b"*a",
    b"- ",
    b"|",
    b"!!",
    b"---",
];

/// Runs `target` on its corpus and on `rounds` changed inputs. Where it panics, the input is told, to be kept in the corpus.
pub(crate) fn run(corpus: &str, rounds: u32, target: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(corpus);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty(), "there is nothing in {folder:?}");
    for seed in &seeds {
        tell_on_panic(corpus, seed, &target);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..rounds {
        let mut input = random.of(&seeds).clone();
        for _ in 0..=random.below(4) {
            change(&mut input, &seeds, &mut random);
        }
        input.truncate(4096);
        tell_on_panic(corpus, &input, &target);
    }
}

fn tell_on_panic(corpus: &str, input: &[u8], target: &impl Fn(&[u8])) {
    struct Told<'a>(&'a str, &'a [u8]);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the target {} failed with this input: b\"{}\"", self.0, self.1.escape_ascii());
            }
        }
    }
    let _told = Told(corpus, input);
    target(input);
}

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(6) {
        0 => input.splice(at..at, random.of(TOKENS).iter().copied()).for_each(drop),
        1 => {
            let end = (at + random.below(8)).min(input.len());
            input.splice(at..end, random.of(TOKENS).iter().copied()).for_each(drop);
        }
        2 => {
            let end = (at + random.below(16)).min(input.len());
            input.drain(at..end);
        }
        3 => {
            let end = (at + random.below(64)).min(input.len());
            let again = input[at..end].to_vec();
            input.splice(at..at, again).for_each(drop);
        }
        4 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        _ => {
            let other = random.of(seeds).clone();
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}

/// Marsaglia's xorshift: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap_or(0)
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
