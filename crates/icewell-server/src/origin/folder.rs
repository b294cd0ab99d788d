//! A folder as the origin: answers as a plain file server would, to a `GET` or `HEAD` of a file in it.
//!
//! Nothing outside the folder can be reached, by `..`, by a link or by a race: files are opened beneath the folder's
//! descriptor (`openat2(2)`, `RESOLVE_BENEATH`). A file that changes while it is read breaks the answer off.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstatfs, openat, openat2};
use tokio::task::spawn_blocking;

use super::{Answer, AnswerBody, Ask, NoAnswer};
use crate::conditional::{self, Decision, Validators};
use crate::error::Error;
use crate::range::{Part, Ranges, Resolved, content_range, unsatisfied_content_range};

/// How much of a file is read at a time.
const CHUNK: u64 = 1 << 20;

/// What is percent-encoded in a file URL: all but unreserved characters (RFC 3986 §2.3) and the slash.
const NOT_IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A folder on this machine.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: Arc<OwnedFd>,
    path: PathBuf,
    identity: String,
    /// Whether it lies on a disk of this machine: what the kernel knows of a file there is so, and told without a wait.
    local: bool,
}

/// File systems on disks and in memory of this machine alone, as `statfs(2)` tells them: ext2 to ext4, XFS, btrfs, tmpfs.
const LOCAL: [rustix::fs::FsWord; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994];

impl Folder {
    /// `file:///path`, percent-encoded.
    pub(super) fn from_url(text: &str) -> Result<Self, Error> {
        let refuse = |why| Error::usage(format!("cannot use the origin {text:?}: {why}"));
        let path = text.strip_prefix("file://").ok_or_else(|| refuse("it is not a file URL"))?;
        let path = path.strip_prefix("localhost").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(refuse("a file URL has three slashes before the path: file:///srv/images"));
        }
        let path: Vec<u8> = percent_decode_str(path).collect();
        Folder::new(Path::new(OsStr::from_bytes(&path)))
    }

    pub(super) fn new(path: &Path) -> Result<Self, Error> {
        let unusable =
            |error: io::Error| Error::usage(format!("cannot use the folder {path:?} as the origin")).with_source(error);
        let path = std::fs::canonicalize(path).map_err(unusable)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, &path, flags, Mode::empty()).map_err(|error| unusable(error.into()))?;
        let identity = format!("file://{}", percent_encode(path.as_os_str().as_bytes(), NOT_IN_A_PATH));
        let local = fstatfs(&fd).is_ok_and(|told| LOCAL.contains(&told.f_type));
        Ok(Folder { fd: Arc::new(fd), path, identity, local })
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// The folder's path, without links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The current validators of a file, as [`ask`](Folder::ask) would send them; none if there is no such file. May block.
    pub(crate) fn validators(&self, path_and_query: &str) -> io::Result<Option<icewell::Validators>> {
        let Some(path) = file_path(path_and_query) else { return Ok(None) };
        Ok(open(&self.fd, &path, ResolveFlags::empty())?.map(|(_, version)| version.validators()))
    }

    /// The same, where the kernel knows them without asking a disk or another machine; none where it might have to wait.
    pub(crate) fn validators_at_once(&self, path_and_query: &str) -> Option<icewell::Validators> {
        let path = file_path(path_and_query).filter(|_| self.local)?;
        // What is mounted below may lie anywhere.
        let opened = open(&self.fd, &path, ResolveFlags::CACHED | ResolveFlags::NO_XDEV);
        Some(opened.ok()??.1.validators())
    }

    pub(super) async fn ask(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        let Some(path) = file_path(&ask.path_and_query) else { return Ok(empty(StatusCode::NOT_FOUND)) };
        let fd = self.fd.clone();
        let opened = spawn_blocking(move || open(&fd, &path, ResolveFlags::empty()))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        match opened {
            Ok(Some((file, version))) => Ok(answer(ask, file, version)),
            Ok(None) => Ok(empty(StatusCode::NOT_FOUND)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(empty(StatusCode::FORBIDDEN)),
            Err(error) => Err(NoAnswer { status: StatusCode::BAD_GATEWAY, reason: error.to_string() }),
        }
    }
}

/// What tells two contents of a file apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl Version {
    fn of(file: &File) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then(|| Version {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            size: metadata.len(),
            inode: metadata.ino(),
        }))
    }

    fn validators(&self) -> icewell::Validators {
        icewell::Validators { etag: Some(self.etag()), last_modified: Some(self.last_modified()) }
    }

    fn etag(&self) -> String {
        format!("\"{:x}.{:x}-{:x}-{:x}\"", self.modified.0, self.modified.1, self.size, self.inode)
    }

    fn last_modified(&self) -> String {
        let seconds = u64::try_from(self.modified.0).unwrap_or(0).min(253_402_300_799);
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
    }
}

/// The file below the folder that a key's path names; none where a file name could not have such bytes.
fn file_path(path_and_query: &str) -> Option<PathBuf> {
    let path = path_and_query.split('?').next()?.strip_prefix('/')?;
    let mut file = PathBuf::new();
    for segment in path.split('/') {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        if matches!(&*name, "" | "." | "..") || name.contains(['/', '\0']) {
            return None;
        }
        file.push(&*name);
    }
    Some(file)
}

/// Opens a file beneath the folder, with these limits besides; none where there is none, or something else than a regular
/// file. An error where the limits keep it from being found.
fn open(folder: &OwnedFd, path: &Path, also: ResolveFlags) -> io::Result<Option<(File, Version)>> {
    use rustix::io::Errno;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | also;
    let file = loop {
        match openat2(folder, path, flags, Mode::empty(), resolve) {
            Ok(fd) => break File::from(fd),
            // A folder above was renamed meanwhile; the kernel could not tell whether it left the origin.
            Err(Errno::AGAIN | Errno::INTR) if also.is_empty() => {}
            // Nothing there; outside the folder; a socket or device.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::NXIO | Errno::NAMETOOLONG) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    };
    Ok(Version::of(&file)?.map(|version| (file, version)))
}

fn empty(status: StatusCode) -> Answer {
    Answer { status, headers: HeaderMap::new(), body: Box::pin(stream::empty()), delimited: true }
}

fn answer(ask: &Ask, file: File, version: Version) -> Answer {
    let (etag, last_modified) = (version.etag(), version.last_modified());
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut headers = HeaderMap::new();
    let mut insert = |name, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    insert(ETAG, &etag);
    insert(LAST_MODIFIED, &last_modified);
    insert(DATE, &date);
    insert(ACCEPT_RANGES, "bytes");
    let validators = Validators { etag: Some(&etag), last_modified: Some(&last_modified), date: Some(&date) };
    match conditional::evaluate(&ask.headers, &validators) {
        Decision::Proceed => {}
        Decision::NotModified => return Answer { headers, ..empty(StatusCode::NOT_MODIFIED) },
        Decision::PreconditionFailed => return Answer { headers, ..empty(StatusCode::PRECONDITION_FAILED) },
    }
    insert(CONTENT_TYPE, "application/octet-stream");
    let whole = Part { start: 0, end: version.size };
    let ranges = Ranges::from_headers(&ask.headers);
    let ranges = ranges.filter(|_| ask.method == Method::GET && conditional::if_range_holds(&ask.headers, &validators));
    let (status, part) = match ranges.map(|ranges| ranges.resolve(version.size)) {
        Some(Resolved::NotSatisfiable) => {
            insert(CONTENT_RANGE, &unsatisfied_content_range(version.size));
            return Answer { headers, ..empty(StatusCode::RANGE_NOT_SATISFIABLE) };
        }
        // Whoever asks for several parts gets the whole, as RFC 9110 §14.2 allows.
        Some(Resolved::Parts(parts)) if parts.len() == 1 => {
            insert(CONTENT_RANGE, &content_range(parts[0], Some(version.size)));
            (StatusCode::PARTIAL_CONTENT, parts[0])
        }
        Some(Resolved::Parts(_) | Resolved::Whole) | None => (StatusCode::OK, whole),
    };
    insert(CONTENT_LENGTH, &part.len().to_string());
    let body = if ask.method == Method::HEAD { empty(status).body } else { stream_part(file, version, part) };
    Answer { status, headers, body, delimited: true }
}

/// Reads a part of the file. If the file was changed meanwhile, nobody knows what was read: then it ends in an error.
fn stream_part(file: File, version: Version, part: Part) -> AnswerBody {
    let file = Arc::new(file);
    Box::pin(stream::try_unfold(part.start, move |offset| {
        let file = file.clone();
        async move {
            if offset >= part.end {
                return Ok(None);
            }
            let chunk = spawn_blocking(move || read_chunk(&file, version, offset, part.end));
            let chunk = chunk.await.unwrap_or_else(|error| Err(io::Error::other(error)))?;
            let next = offset + chunk.len() as u64;
            Ok(Some((chunk, next)))
        }
    }))
}

fn read_chunk(file: &File, version: Version, offset: u64, end: u64) -> io::Result<Bytes> {
    let mut chunk = vec![0; usize::try_from((end - offset).min(CHUNK)).unwrap_or(0)];
    let length = file.read_at(&mut chunk, offset)?;
    chunk.truncate(length);
    // Looked at after each read, so that no byte of another version goes out as one of this.
    if length == 0 || Version::of(file)? != Some(version) {
        return Err(io::Error::other("the file was changed while it was read"));
    }
    Ok(chunk.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_leave_the_folder_name_no_file() {
        assert_eq!(file_path("/a/b%20c?x=/../y"), Some(PathBuf::from("a/b c")));
        for path in ["/", "a", "/..", "/%2e%2e/x", "/..%2Fx", "/a//b", "/a/", "/a%00", "/%ff"] {
            assert_eq!(file_path(path), None, "{path}");
        }
    }

    #[test]
    fn what_it_is_bound_by_names_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(OsStr::from_bytes(b"a b%20\xff"));
        std::fs::create_dir(&path).unwrap();
        let folder = Folder::new(&path).unwrap();
        let again = Folder::from_url(folder.identity()).unwrap();
        assert_eq!(again.path(), folder.path());
        assert_eq!(again.identity(), folder.identity());
    }

    #[test]
    fn links_out_of_the_folder_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("origin");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        std::fs::write(inside.join("image"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("out")).unwrap();
        std::os::unix::fs::symlink("image", inside.join("in")).unwrap();
        let folder = Folder::new(&inside).unwrap();
        assert!(folder.validators("/in").unwrap().is_some());
        if folder.local {
            // The kernel may say that it would have to wait, when anything on the machine is renamed or mounted meanwhile.
            let at_once = || folder.validators_at_once("/in");
            let known = std::iter::repeat_with(at_once).take(10_000).find(Option::is_some);
            assert_eq!(known, Some(folder.validators("/in").unwrap()));
            assert_eq!(folder.validators_at_once("/out"), None);
        }
        for path in ["/out", "/missing", "/image/x", "/"] {
            assert!(folder.validators(path).unwrap().is_none(), "{path}");
        }
    }
}
