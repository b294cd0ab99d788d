//! Cached images whose bytes are not what they were: out of service at once, kept in `invalid/` with the reason for a look,
//! and fetched anew.

use std::io;
use std::sync::Arc;

use icewell::ImageId;
use tracing::{error, warn};

use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::open_images::OpenImage;
use crate::prefetch;

/// The image has other bytes than its digest says, and is in `invalid/` by now. Nobody gets a whole copy of it any more,
/// not even whose response is running.
pub(crate) async fn is_corrupt(daemon: &Arc<Daemon>, id: &ImageId, why: &str) {
    error!(image_id = %id, why, "a cached image is corrupt");
    daemon.counters.corrupt.inc();
    daemon.open_images.condemn(id);
    fetch_anew(daemon, id).await;
}

/// The image could not be read on at this byte, in the middle of a response.
pub(crate) async fn cannot_be_read(daemon: &Arc<Daemon>, image: &Arc<OpenImage>, at: u64, error: &io::Error) {
    let id = image.reader().id();
    warn!(image_id = %id, at, %error, "a cached image cannot be read on");
    daemon.counters.read_errors.inc();
    if !is_of_the_disk(error) {
        return;
    }
    let (cache, read, why) =
        (daemon.cache.clone(), image.clone(), format!("read: cannot be read at byte {at}: {error}"));
    match blocking(move || cache.set_aside(read.reader(), &why)).await {
        Ok(true) => fetch_anew(daemon, id).await,
        // Another response was quicker, or another file has the name.
        Ok(false) => {}
        Err(error) => warn!(image_id = %id, error = chain(&error), "it cannot be taken out of service"),
    }
}

/// Whether reading once more would give the same: not where there was no memory, say.
fn is_of_the_disk(error: &io::Error) -> bool {
    let said = [libc::EIO, libc::EFAULT, libc::EBADMSG, libc::EUCLEAN].map(Some).contains(&error.raw_os_error());
    said || error.kind() == io::ErrorKind::UnexpectedEof
}

async fn fetch_anew(daemon: &Arc<Daemon>, id: &ImageId) {
    if !prefetch::can_work(daemon) || daemon.key_of(id).is_none() {
        return;
    }
    let (cache, wanted) = (daemon.cache.clone(), id.clone());
    match blocking(move || cache.queue(&wanted)).await {
        Ok(_) => daemon.queue_changed.notify_one(),
        Err(error) => warn!(image_id = %id, error = chain(&error), "it cannot be queued to be fetched anew"),
    }
}
