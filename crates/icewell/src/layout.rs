//! Every name Icewell uses on disk. `docs/on-disk-format.md` explains them; it cites these constants.
//!
//! ```text
//! DIR/ID                       a cached image
//! DIR/incomplete/ID            claim: ID is being filled (an empty, marked file for a Glance beside us to see)
//! DIR/incomplete/.icewell/ID   the bytes of Icewell's fill
//! DIR/invalid/ID               a fill that failed
//! DIR/queue/ID                 wanted
//! ```

/// Claims of Icewell, and the fills of a Glance that uses the same directory.
pub const INCOMPLETE: &str = "incomplete";

/// The bytes of Icewell's own fills, inside [`INCOMPLETE`]. Glance ignores folders there.
pub const FILLS: &str = ".icewell";

/// Fills that failed.
pub const INVALID: &str = "invalid";

/// Images that are wanted.
pub const QUEUE: &str = "queue";

/// Names that no image may have.
pub const RESERVED: [&str; 4] = [INCOMPLETE, INVALID, QUEUE, FILLS];

/// The version of the on-disk format that this library reads and writes; kept on DIR as [`tag::VERSION`].
pub const FORMAT_VERSION: u32 = 1;

/// Extended attributes. The first two are Glance's, with its meaning; the others are Icewell's and all optional.
pub mod tag {
    /// On an image: how many reads it served, in decimal ASCII.
    pub const HITS: &str = "user.hits";
    /// On an invalid entry: why the fill failed, in UTF-8, cut to what fits.
    pub const ERROR: &str = "user.error";

    /// On an image: the ID it was committed under. A file with another name is not that image.
    pub const IMAGE_ID: &str = "user.icewell.id";
    /// On an image: the digest the origin vouched for, `ALGORITHM:HEX`, checked before commit.
    pub const DIGEST: &str = "user.icewell.digest";
    /// On an image: the digest Icewell computed itself, `sha256:HEX`. It finds bit rot; it vouches for nothing.
    pub const COMPUTED_DIGEST: &str = "user.icewell.computed_digest";
    /// On an image or a fill: the origin's `ETag`.
    pub const ETAG: &str = "user.icewell.etag";
    /// On an image or a fill: the origin's `Last-Modified`.
    pub const LAST_MODIFIED: &str = "user.icewell.last_modified";
    /// On an image or a fill: its media type.
    pub const CONTENT_TYPE: &str = "user.icewell.content_type";
    /// On an image or a fill: what a front end keeps to decide how long the image is fresh; opaque here.
    pub const FRESHNESS: &str = "user.icewell.freshness";
    /// On an image or a fill: a name for people.
    pub const NAME: &str = "user.icewell.name";
    /// On an image: when its bytes were last read again and were right, `SECONDS.NANOSECONDS`.
    pub const VERIFIED: &str = "user.icewell.verified";
    /// On an image: present when it is never to be pruned.
    pub const PINNED: &str = "user.icewell.pinned";
    /// On an image: when it was last read, `SECONDS.NANOSECONDS`, where its access time may not be set.
    pub const ACCESSED: &str = "user.icewell.accessed";

    /// On a claim: this file is Icewell's sign to a Glance, never an image. On the bytes of a fill: they are claimed, and
    /// the mark is an earlier fill's.
    pub const CLAIM: &str = "user.icewell.claim";
    /// On the bytes of a fill: how far it has come (`written`, `synced`, `size`), how much is promised
    /// to it (`reserved`), and in which `boot` of the machine.
    pub const FILL: &str = "user.icewell.fill";

    /// On DIR: the format's version.
    pub const VERSION: &str = "user.icewell.version";
    /// On DIR: the origin its images come from.
    pub const ORIGIN: &str = "user.icewell.origin";
    /// On DIR: the limit in force, in bytes.
    pub const MAX_SIZE: &str = "user.icewell.max_size";
    /// On DIR: what the limit counts, `size` or `allocated`.
    pub const COUNT: &str = "user.icewell.count";
    /// On DIR: what is to stay free on the file system, as `5%`, or in bytes.
    pub const MIN_FREE: &str = "user.icewell.min_free";
    /// On the queue folder: the latest time given to an entry, `SECONDS.NANOSECONDS`.
    pub const LAST_QUEUED: &str = "user.icewell.last_queued";
}

/// What a Glance keeps in DIR besides images, under names that an image could have.
pub mod glance {
    /// The database of its `sqlite` driver, unless `image_cache_sqlite_db` says otherwise.
    pub const DATABASE: &str = "cache.db";
    /// The locks that its drivers and its management API take; empty files.
    pub const LOCKS: [&str; 5] = [
        "glance-cache",
        "glance-cache-clean",
        "glance-cache-prune",
        "image_cache_db_init",
        "sqlite_centralized_migrate",
    ];
    /// The file by which its `xattr` driver tries tags.
    pub const PROBE: &str = "checkme";
}
