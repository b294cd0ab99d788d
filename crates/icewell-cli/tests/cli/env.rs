//! [`TestEnv`]: a cache directory of its own, and the real binary.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use icewell::{Cache, ImageId};
use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder with the cache directory `cache` in it.
pub(crate) struct TestEnv {
    temp: TempDir,
}

/// What a run of the command left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        TestEnv { temp: tempfile::tempdir().unwrap() }
    }

    /// A path in the temporary folder.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.temp.path().join(name)
    }

    /// A file in the temporary folder.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name).to_str().unwrap().into()
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.path("cache")
    }

    /// The cache as the library sees it.
    pub(crate) fn cache(&self) -> Cache {
        Cache::open(self.dir()).unwrap()
    }

    /// A cached image.
    pub(crate) fn image(&self, id: &str, bytes: impl AsRef<[u8]>) {
        let mut writer = self.cache().write(&id_of(id)).unwrap();
        writer.write(bytes.as_ref()).unwrap();
        writer.commit().unwrap();
    }

    /// A fill that failed.
    pub(crate) fn invalid(&self, id: &str, why: &str) {
        let mut writer = self.cache().write(&id_of(id)).unwrap();
        writer.write(b"bad").unwrap();
        writer.roll_back(why);
    }

    pub(crate) fn hits(&self, id: &str) -> u64 {
        self.cache().hits(&id_of(id)).unwrap()
    }

    /// The command, with the cache directory in its environment and nothing else of the caller's that it looks at.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_icewell"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.temp.path()).env("ICEWELL_DIR", self.dir()).current_dir(self.temp.path());
        // Whoever runs the tests may have a daemon of his own.
        command.env("ICEWELL_CONFIG", "off");
        command.args(arguments).stdin(Stdio::null());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        run(self.command(arguments), b"")
    }

    pub(crate) fn run_with_input<S: AsRef<OsStr>>(&self, arguments: &[S], input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped());
        run(command, input)
    }

    /// Runs what must end well; its standard output.
    pub(crate) fn ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        self.run(arguments).exits(0).stdout
    }

    /// Runs what must end well, with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).exits(0).json()
    }

    /// The IDs that an `ls` lists.
    pub(crate) fn listed(&self, arguments: &[&str]) -> Vec<String> {
        let rows = self.json(&[&["ls"], arguments].concat());
        rows.as_array().unwrap().iter().map(|row| row["image_id"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn run(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or_else(|| panic!("killed: {}", output.status)),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn id_of(id: &str) -> ImageId {
    ImageId::new(id).unwrap()
}

impl Ran {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Standard error has this, and every diagnostic begins with our name.
    #[track_caller]
    pub(crate) fn tells(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} not in {self:?}");
        assert!(self.stderr.starts_with("icewell: "), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn says_nothing(self) -> Self {
        assert_eq!((self.stdout.as_str(), self.stderr.as_str()), ("", ""));
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The values of one key of an array of objects.
#[track_caller]
pub(crate) fn column<'a>(rows: &'a Value, key: &str) -> Vec<&'a str> {
    rows.as_array().unwrap().iter().map(|row| row[key].as_str().unwrap()).collect()
}

/// The keys of an object, sorted.
#[track_caller]
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
